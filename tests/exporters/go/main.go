// A Go service with database/sql's pool, a gRPC server and client, and native histograms; built
// from Debian's own libraries.
package main

import (
	"context"
	"database/sql"
	"log"
	"math/rand"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	grpcprom "github.com/grpc-ecosystem/go-grpc-prometheus"
	_ "github.com/lib/pq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// What OpenTelemetry's conventions call the durations of a service, as native histograms: they have
// no buckets with names, and no text form.
func native() (*prometheus.Registry, func(failed bool)) {
	registry := prometheus.NewRegistry()
	histogram := func(name string, labels ...string) *prometheus.HistogramVec {
		options := prometheus.HistogramOpts{Name: name, NativeHistogramBucketFactor: 1.1}
		made := prometheus.NewHistogramVec(options, labels)
		registry.MustRegister(made)
		return made
	}
	server := histogram("http_server_request_duration_seconds", "http_response_status_code", "error_type")
	rpc := histogram("rpc_server_call_duration_seconds", "rpc_method", "error_type")
	client := histogram("http_client_request_duration_seconds", "server_address", "http_response_status_code", "error_type")
	rpcClient := histogram("rpc_client_call_duration_seconds", "server_address", "error_type")
	database := histogram("db_client_operation_duration_seconds", "server_address", "error_type", "db_response_status_code")
	wait := histogram("db_client_connection_wait_time_seconds", "db_client_connection_pool_name")
	return registry, func(failed bool) {
		took, answer, problem, code := 0.01+0.02*rand.Float64(), "200", "", ""
		if failed {
			answer, problem, code = "500", "500", "23505"
		}
		server.WithLabelValues(answer, problem).Observe(took)
		rpc.WithLabelValues("shop.Shop/Buy", problem).Observe(took)
		client.WithLabelValues("payments", answer, problem).Observe(took / 2)
		rpcClient.WithLabelValues("stock", problem).Observe(took / 2)
		database.WithLabelValues("orders-db", problem, code).Observe(took / 4)
		wait.WithLabelValues("orders").Observe(took / 8)
	}
}

var calls int64

// Fails now and then in each of the ways that the pack tells apart.
func troubled(ctx context.Context, request interface{}, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (interface{}, error) {
	switch atomic.AddInt64(&calls, 1) % 60 {
	case 0:
		return nil, status.Error(codes.Internal, "broken")
	case 20:
		return nil, status.Error(codes.ResourceExhausted, "later")
	case 40:
		return nil, status.Error(codes.Aborted, "taken")
	}
	return next(ctx, request)
}

func main() {
	db, err := sql.Open("postgres", os.Getenv("PG"))
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(2)
	prometheus.MustRegister(collectors.NewDBStatsCollector(db, "orders"))
	grpcprom.EnableHandlingTimeHistogram()
	grpcprom.EnableClientHandlingTimeHistogram()
	srv := grpc.NewServer(
		grpc.ChainUnaryInterceptor(grpcprom.UnaryServerInterceptor, troubled),
		grpc.StreamInterceptor(grpcprom.StreamServerInterceptor),
	)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	grpcprom.Register(srv)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)
	conn, err := grpc.Dial(l.Addr().String(), grpc.WithInsecure(), grpc.WithUnaryInterceptor(grpcprom.UnaryClientInterceptor))
	if err != nil {
		log.Fatal(err)
	}
	registry, measure := native()
	c := healthpb.NewHealthClient(conn)
	for i := 0; i < 4; i++ {
		go func() {
			for n := 0; ; n++ {
				c.Check(context.Background(), &healthpb.HealthCheckRequest{})
				if _, err := db.Exec("select pg_sleep(0.003)"); err != nil && n == 0 {
					log.Print(err)
				}
				measure(n%30 == 0)
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	http.Handle("/metrics", promhttp.Handler())
	http.Handle("/native", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), nil))
}
