// A Node.js service with prom-client's default metrics. Called with a port and a folder of modules.
const http = require('http');
const path = require('path');
const client = require(path.join(process.argv[3], 'node_modules', 'prom-client'));

client.collectDefaultMetrics();

const kept = [];
http
  .createServer(async (request, answer) => {
    if (request.url === '/metrics') {
      // Prometheus 3 takes no page that does not say what it is.
      answer.setHeader('Content-Type', client.register.contentType);
      answer.end(await client.register.metrics());
      return;
    }
    // Something for the garbage collector.
    for (let n = 0; n < 2000; n += 1) kept.push({ n });
    if (kept.length > 200000) kept.length = 0;
    answer.end('ok');
  })
  .listen(Number(process.argv[2]), '127.0.0.1');
