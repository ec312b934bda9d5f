// SPDX-License-Identifier: MIT
//
// node metrics.js KILND KILN-ENGINE: GET /metrics is well-formed, complete, and counts what was asked.
'use strict';

const fs = require('fs');
const net = require('net');
const { Kilnd, runCases, assert, until, JSON: JSON_TYPE } = require('./support.js');
const { parse } = require('./prometheus.js');
const { descriptorsOf } = require('../processes.js');

const [program, engine] = process.argv.slice(2);
const read = async (kilnd) => {
  const answer = await kilnd.ask('GET', '/metrics');
  assert.strictEqual(answer.status, 200);
  assert.strictEqual(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  return parse(answer.text);
};
const R = (route, method, code) => ({ route, method, code });

// What `act` adds to a sample.
async function moved(kilnd, act, samples) {
  const before = await read(kilnd);
  await act();
  const after = await read(kilnd);
  for (const [name, labels, wanted] of samples) {
    const got = after.get(name, labels) - before.get(name, labels);
    assert(typeof wanted === 'function' ? wanted(got) : got === wanted, `${name}${JSON.stringify(labels)}: moved by ${got}, wanted ${wanted}`);
  }
}

const requests = 'kiln_http_requests_total';
const seconds = 'kiln_http_request_duration_seconds';
let kilnd;
let key;

const cases = {
  async 'the reader refuses what is malformed'() {
    const good = '# HELP a_total b\n# TYPE a_total counter\na_total{x="1"} 1\n';
    parse(good);
    const head = '# HELP h b\n# TYPE h histogram\n';
    const bad = [
      good.slice(0, -1), good + good, good.replace('# HELP a_total b\n', ''), good.replace('counter', 'count'), good.replace(/a_total/g, 'a'),
      good.replace('{x="1"}', '{x="1",}'), good.replace('"1"', '"\\q"'), good.replace('"1"', '"1'), good.replace('{x', '{9x'), good.replace(' 1\n', ' one\n'),
      good.replace(' 1\n', ' 1 2 3\n'), good + 'a_total{x="1"} 1\n', good + 'b_total 1\n', good.replace(/a_total/g, 'a_ms_total'), good + '\n',
      good.replace(' 1\n', ' -1\n'), head, `${head}h_sum 0\nh_count 0\n`, `${head}h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 0\nh_sum 1\nh_count 0\n`,
      `${head}h_bucket{le="+Inf"} 2\nh_sum 1\nh_count 1\n`, `${head}h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`,
    ];
    bad.forEach((text, i) => assert.throws(() => parse(text), undefined, `bad ${i}`));
  },
  async 'a first look'() {
    kilnd = await Kilnd.start(program, engine, ['--workers', '2']);
    const found = await read(kilnd);
    assert.strictEqual(found.get('kiln_build_info', { version: '0.1.0' }), 1);
    assert(found.families.get('kiln_engine_info').samples[0].labels.name.startsWith('node-'));
    assert.strictEqual(found.get('kiln_jobs_running'), 0);
    assert.strictEqual(found.get('kiln_jobs_queued'), 0);
    assert.strictEqual(found.get('kiln_store_entries'), 0);
    assert(found.get('kiln_zygotes_started_total') >= 1);
  },
  async 'all that /v1/stats counts is there'() {
    const stats = (await kilnd.ask('GET', '/v1/stats')).json();
    const names = [...(await read(kilnd)).families.keys()];
    const told = { requests: 'kiln_operations', jobs: 'kiln_jobs_started', hits: 'kiln_lookups', misses: 'kiln_lookups', coalesced: 'kiln_lookups' };
    for (const name of Object.keys(stats.kiln)) {
      let family = told[name] ?? `kiln_${name}`;
      if (/^jobs_(ok|exception|time_limit|memory_limit|crashed)$/.test(name)) family = 'kiln_jobs';
      if (/^zygotes_(lost|not_ready|renewed)$/.test(name)) family = 'kiln_engine_restarts';
      assert(names.includes(family) || names.includes(`${family}_total`), `${name} as ${family}`);
    }
    for (const name of Object.keys(stats.server).filter((one) => !/^(requests|responses_.*)$/.test(one)))
      assert(names.includes(`kiln_http_${name}`) || names.includes(`kiln_http_${name}_total`), name);
  },
  async 'label sets do not grow with what clients send'() {
    const count = async () => [...(await read(kilnd)).families.values()].reduce((sum, family) => sum + family.samples.length, 0);
    const before = await count();
    for (const target of ['/nothing', '/v1/run/x', '/v1/cachedData/x%22y', `/v1/cachedData/${'0'.repeat(64)}`, '/%0a%22'])
      for (const method of ['GET', 'DELETE', 'BREW']) await kilnd.ask(method, target);
    assert.strictEqual(await count(), before);
  },
  async 'requests by route and class'() {
    await moved(kilnd, async () => {
      await kilnd.ask('GET', '/healthz');
      await kilnd.ask('HEAD', '/healthz');
      await kilnd.ask('GET', '/nothing');
      await kilnd.ask('GET', '/v1/cachedData/zz');
      await kilnd.post('/v1/run', '1 + 1');
      await kilnd.post('/v1/run', 'throw 1');
      await kilnd.post('/v1/run', '{', JSON_TYPE);
    }, [
      [requests, R('/healthz', 'GET', '2xx'), 2],
      [requests, R('none', 'none', '4xx'), 1],
      [requests, R('/v1/cachedData/{key}', 'GET', '4xx'), 1],
      [requests, R('/v1/run', 'POST', '2xx'), 1],
      [requests, R('/v1/run', 'POST', '4xx'), 2],
      [requests, R('/v1/run', 'POST', '5xx'), 0],
      [requests, R('/metrics', 'GET', '2xx'), 1],
      [`${seconds}_count`, { route: '/v1/run', method: 'POST' }, 3],
      [`${seconds}_sum`, { route: '/v1/run', method: 'POST' }, (sum) => sum > 0 && sum < 30],
      [`${seconds}_bucket`, { route: '/v1/run', method: 'POST', le: '60' }, 3],
      ['kiln_jobs_total', { outcome: 'ok' }, 1],
      ['kiln_jobs_total', { outcome: 'exception' }, 1],
      ['kiln_operations_total', {}, 2],
    ]);
  },
  async 'a latency lands in its buckets'() {
    await moved(kilnd, () => kilnd.post('/v1/run?timeout=300', 'for (;;);'), [
      [`${seconds}_bucket`, { route: '/v1/run', method: 'POST', le: '0.25' }, 0],
      [`${seconds}_bucket`, { route: '/v1/run', method: 'POST', le: '+Inf' }, 1],
      [`${seconds}_sum`, { route: '/v1/run', method: 'POST' }, (sum) => sum >= 0.3],
      ['kiln_jobs_total', { outcome: 'time_limit' }, 1],
    ]);
  },
  async 'hits, misses, reasons, saved time'() {
    const source = `const x = [${'function () { return 1; },'.repeat(2000)}];`;
    const bake = async () => {
      const answer = await kilnd.post('/v1/createCachedData?filename=a.js', source);
      assert.strictEqual(answer.status, 200);
      key = answer.headers['kiln-key'];
      return answer;
    };
    let length;
    await moved(kilnd, async () => (length = (await bake()).bytes.length), [
      ['kiln_lookups_total', { result: 'miss' }, 1],
      ['kiln_lookups_total', { result: 'hit' }, 0],
      ['kiln_lookup_reasons_total', { reason: 'never_baked' }, 1],
      ['kiln_saved_hits_total', { known: 'yes' }, 0],
      ['kiln_store_entries', {}, 1],
      ['kiln_store_blob_bytes', {}, (bytes) => bytes > 0],
      ['kiln_http_request_body_bytes_total', {}, Buffer.byteLength(source)],
    ]);
    await moved(kilnd, bake, [
      ['kiln_lookups_total', { result: 'hit' }, 1],
      ['kiln_lookup_reasons_total', { reason: 'hit' }, 1],
      ['kiln_saved_hits_total', { known: 'yes' }, 1],
      ['kiln_saved_hits_total', { known: 'no' }, 0],
      ['kiln_saved_seconds_total', {}, (saved) => saved > 0 && saved < 5],
      ['kiln_jobs_started_total', {}, 0],
      ['kiln_http_response_body_bytes_total', {}, (bytes) => bytes >= length],
    ]);
  },
  async 'bytes of the answer: none for HEAD and 304'() {
    const etag = (await kilnd.ask('GET', `/v1/cachedData/${key}`)).headers.etag;
    const page = async () => (await kilnd.ask('GET', '/metrics')).bytes.length;
    const total = async () => (await read(kilnd)).get('kiln_http_response_body_bytes_total');
    const first = await total();
    const size = await page();
    const second = await total();
    assert(second - first > size, 'a page counts');
    await kilnd.ask('HEAD', `/v1/cachedData/${key}`);
    assert.strictEqual((await kilnd.ask('GET', `/v1/cachedData/${key}`, { headers: { 'If-None-Match': etag } })).status, 304);
    const third = await total();
    assert(third - second < 2 * size, `HEAD and 304 sent ${third - second}`);
  },
  async 'connections, malformed heads, aborted requests'() {
    const sockets = [];
    const open = () => new Promise((resolve) => {
      const socket = net.connect(kilnd.port, '127.0.0.1', () => resolve(socket));
      socket.on('error', () => {});
      sockets.push(socket);
    });
    const before = await read(kilnd);
    await open();
    await until('a connection', async () => (await read(kilnd)).get('kiln_http_connections') === before.get('kiln_http_connections') + 1);
    (await open()).write('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
    await until('a malformed head', async () => (await read(kilnd)).get('kiln_http_refused_malformed_total') === before.get('kiln_http_refused_malformed_total') + 1);
    const half = await open();
    half.write('POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/javascript\r\nContent-Length: 100\r\n\r\n1');
    await until('a request in flight', async () => (await read(kilnd)).get('kiln_http_requests_in_flight') === 2);
    half.destroy();
    await until('an aborted request', async () => (await read(kilnd)).get('kiln_http_requests_aborted_total') > before.get('kiln_http_requests_aborted_total'));
    const none = R('/v1/run', 'POST', 'none');
    assert.strictEqual((await read(kilnd)).get(requests, none), before.get(requests, none) + 1);
    sockets.forEach((socket) => socket.destroy());
  },
  async 'a body over the limit, sent in chunks, is 413 and no abort'() {
    const small = await Kilnd.start(program, engine, ['--body-max', '1000', '--no-store'], { store: false });
    await moved(small, () => new Promise((resolve) => {
      const socket = net.connect(small.port, '127.0.0.1');
      socket.write(`POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/javascript\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n${'x'.repeat(2048)}\r\n`);
      socket.on('close', resolve).resume().on('error', () => {});
    }), [
      [requests, R('/v1/run', 'POST', '4xx'), 1],
      [requests, R('/v1/run', 'POST', 'none'), 0],
      ['kiln_http_requests_aborted_total', {}, 0],
    ]);
    assert.strictEqual(await small.stop(), 0);
  },
  async 'the process'() {
    const found = await read(kilnd);
    const fds = descriptorsOf(kilnd.pid);
    assert(Math.abs(found.get('process_open_fds') - fds) <= 3, `${found.get('process_open_fds')} of ${fds} descriptors`);
    const status = fs.readFileSync(`/proc/${kilnd.pid}/status`, 'utf8');
    const resident = 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)[1]);
    assert(Math.abs(found.get('process_resident_memory_bytes') / resident - 1) < 0.3);
    const age = Date.now() / 1000 - found.get('process_start_time_seconds');
    assert(age >= 0 && age < 120, `${age} s old`);
    assert(found.get('process_max_fds') >= 256);
    assert(found.get('process_cpu_seconds_total') >= 0);
  },
  async 'an engine that was killed is a restart with its cause'() {
    const lost = { cause: 'lost' };
    const before = await read(kilnd);
    kilnd.killEngines();
    await until('a restart', async () => (await read(kilnd)).get('kiln_engine_restarts_total', lost) >= before.get('kiln_engine_restarts_total', lost) + 1);
    await until('a run', async () => (await kilnd.post('/v1/run', '1')).status === 200);
  },
  async 'hits of an earlier life save an unknown time'() {
    await kilnd.stop({ keep: true });
    const again = await Kilnd.start(program, engine, [], { dir: kilnd.dir });
    const source = `const x = [${'function () { return 1; },'.repeat(2000)}];`;
    assert.strictEqual((await again.post('/v1/createCachedData?filename=a.js', source)).headers['kiln-cache'], 'hit');
    const found = await read(again);
    assert.strictEqual(found.get('kiln_saved_hits_total', { known: 'no' }), 1);
    assert.strictEqual(found.get('kiln_saved_seconds_total'), 0);
    assert.strictEqual(await again.stop(), 0);
  },
};

runCases('server_metrics', cases);
