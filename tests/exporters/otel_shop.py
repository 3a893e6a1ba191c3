"""A service that measures itself with OpenTelemetry's SDK, by the semantic conventions.

Called with a port, it is scraped, its histograms have buckets, and gRPC's own plugin measures a
server and a client. Called with an address, it pushes exponential histograms there by OTLP.
"""

import random
import sys
import time

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource

# The boundaries that the conventions advise for http.server.request.duration.
BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

where = sys.argv[1]
scraped = where.isdigit()
if scraped:
    import prometheus_client

    aggregation = ExplicitBucketHistogramAggregation(BOUNDARIES)
    reader = PrometheusMetricReader()
    prometheus_client.start_http_server(int(where), addr="127.0.0.1")
else:
    aggregation = ExponentialBucketHistogramAggregation()
    exporter = OTLPMetricExporter(endpoint=where)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=2000)
provider = MeterProvider(
    resource=Resource({"service.name": "shop", "service.instance.id": "a", "service.version": "1.4.2"}),
    metric_readers=[reader],
    views=[View(instrument_type=Histogram, aggregation=aggregation)],
)
meter = provider.get_meter("shop")
http = meter.create_histogram("http.server.request.duration", "s")
rpc = meter.create_histogram("rpc.server.call.duration", "s")
http_client = meter.create_histogram("http.client.request.duration", "s")
rpc_client = meter.create_histogram("rpc.client.call.duration", "s")
database = meter.create_histogram("db.client.operation.duration", "s")
wait = meter.create_histogram("db.client.connection.wait_time", "s")
connections = meter.create_up_down_counter("db.client.connection.count", "{connection}")
connections_max = meter.create_up_down_counter("db.client.connection.max", "{connection}")
pool = {"db.client.connection.pool.name": "orders"}
connections.add(3, pool | {"db.client.connection.state": "used"})
connections.add(5, pool | {"db.client.connection.state": "idle"})
connections_max.add(8, pool)

if scraped:
    # gRPC measures itself: its plugin, its server and its client.
    from concurrent import futures

    import grpc
    import grpc_observability

    plugin = grpc_observability.OpenTelemetryPlugin(meter_provider=provider)
    plugin.register_global()
    turns = 0

    def answer(_request, context):
        global turns
        turns += 1
        if turns % 20 == 0:
            context.abort(grpc.StatusCode.INTERNAL, "broken")
        if turns % 25 == 0:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "later")
        return b"ok"

    handlers = {"Buy": grpc.unary_unary_rpc_method_handler(answer)}
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("shop.Shop", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    buy = grpc.insecure_channel(f"localhost:{port}").unary_unary("/shop.Shop/Buy")

draw = random.Random(1)
n = 0
while True:
    n += 1
    failed = n % 30 == 0
    took = draw.lognormvariate(-3.5, 0.5)
    error = {"error.type": "500"} if failed else {}
    status = {"http.response.status_code": 500 if failed else 200}
    http.record(
        took, {"http.request.method": "GET", "http.route": "/buy", "url.scheme": "http"} | status | error
    )
    rpc.record(took, {"rpc.system.name": "grpc", "rpc.method": "shop.Shop/Buy"} | error)
    http_client.record(
        took / 2,
        {"http.request.method": "GET", "server.address": "payments", "server.port": 80} | status | error,
    )
    rpc_client.record(
        took / 2, {"rpc.method": "shop.Stock/Get", "server.address": "stock"} | error
    )
    code = {"error.type": "23505", "db.response.status_code": "23505"} if failed else {}
    database.record(
        took / 4,
        {
            "db.system.name": "postgresql",
            "db.collection.name": "orders",
            "db.operation.name": "INSERT",
            "server.address": "orders-db",
        }
        | code,
    )
    wait.record(took / 8, pool)
    if scraped:
        try:
            buy(b"")
        except grpc.RpcError:
            pass
    time.sleep(0.02)
