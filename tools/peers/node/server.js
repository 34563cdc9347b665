// The challenge's contract on Node's own http module; one process, so one set of statistics.
'use strict';

const http = require('node:http');

let count = 0;
let sum = 0;
const users = new Set();

function add(body) {
  let event;
  try {
    event = JSON.parse(body);
  } catch {
    return false;
  }
  if (typeof event?.userId !== 'string' || event.userId === '' || !Number.isFinite(event.value)) {
    return false;
  }
  count += 1;
  sum += event.value;
  users.add(event.userId);
  return true;
}

// JavaScript writes whole doubles without a point.
const float = (number) => (Number.isInteger(number) ? number.toFixed(1) : String(number));

function stats() {
  const avg = count === 0 ? 0 : sum / count;
  return `{"totalRequests":${count},"uniqueUsers":${users.size},"sum":${float(sum)},"avg":${float(avg)}}`;
}

const server = http.createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/event') {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
      response.writeHead(add(body) ? 200 : 400, { 'Content-Length': 0 });
      response.end();
    });
  } else if (request.method === 'GET' && request.url === '/stats') {
    const body = stats();
    response.writeHead(200, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
    });
    response.end(body);
  } else {
    response.writeHead(404, { 'Content-Length': 0 });
    response.end();
  }
});
server.listen(Number(process.argv[2]), '127.0.0.1', 4096);
