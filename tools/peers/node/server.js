// The challenge's contract on Node's own http module. It is one process, so that there is one set of
// statistics. POST /events takes a JSON array, all of it or none.
'use strict';

const http = require('node:http');

let count = 0;
let sum = 0;
const users = new Set();

const isValid = (event) =>
  typeof event?.userId === 'string' && event.userId !== '' && Number.isFinite(event.value);

// Counts the events of a body, one or an array. Returns their number, or undefined if one is wrong.
function add(body, isBatch) {
  let events;
  try {
    events = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (!isBatch) {
    events = [events];
  }
  if (!Array.isArray(events) || !events.every(isValid)) {
    return undefined;
  }
  for (const event of events) {
    count += 1;
    sum += event.value;
    users.add(event.userId);
  }
  return events.length;
}

// JavaScript writes whole doubles without a point.
const float = (number) => (Number.isInteger(number) ? number.toFixed(1) : String(number));

function stats() {
  const avg = count === 0 ? 0 : sum / count;
  return `{"totalRequests":${count},"uniqueUsers":${users.size},"sum":${float(sum)},"avg":${float(avg)}}`;
}

const server = http.createServer((request, response) => {
  const isBatch = request.url === '/events';
  if (request.method === 'POST' && (isBatch || request.url === '/event')) {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
      const counted = add(body, isBatch);
      const answer = isBatch && counted !== undefined ? `{"counted":${counted}}` : '';
      response.writeHead(counted === undefined ? 400 : 200, { 'Content-Length': answer.length });
      response.end(answer);
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
