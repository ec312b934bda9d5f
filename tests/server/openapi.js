// SPDX-License-Identifier: MIT
//
// node openapi.js KILND KILN-ENGINE: reads /v1/openapi.json from a live kilnd and sends what it describes: for every
// operation its examples, then each parameter and each field of a body with values at the edges of what is taken and with
// values that are not. Each answer must be one of those described: status, content type, headers, body.
'use strict';

const fs = require('fs');
const path = require('path');
const { createHash } = require('crypto');
const { Kilnd, runCases, assert, temporaryFolder, JS, JSON: JSON_TYPE } = require('./support.js');
const { Schemas } = require('./schema.js');

const [program, engine] = process.argv.slice(2);
const METHODS = ['get', 'post', 'delete'];
const BROWSERS = ['PUT', 'PATCH', 'OPTIONS', 'TRACE', 'BREW'];
let kilnd;
let document;
let schemas;
let key; // of an entry
let sent = 0;

// [path, method, operation, parameters]
function* operations() {
  for (const [path, item] of Object.entries(document.paths))
    for (const method of METHODS) {
      const operation = item[method];
      if (operation) yield [path, method, operation, (operation.parameters ?? []).map((one) => schemas.resolve(one))];
    }
}

const contentOf = (operation) => (operation.requestBody ? schemas.resolve(operation.requestBody).content : {});

function checkHeaders(described, answer, what) {
  for (const [name, header] of Object.entries(described.headers ?? {})) {
    const value = answer.headers[name.toLowerCase()];
    assert(value !== undefined || !header.required, `${what}: no header ${name}`);
    const fault = value === undefined ? undefined : schemas.fault(header.schema, value);
    assert(fault === undefined, `${what}: header ${name}: ${fault}`);
  }
}

// Whether the answer is one that is described.
function checkAnswer(operation, answer, what) {
  const where = `${what}: ${answer.status} ${answer.text.slice(0, 300)}`;
  assert(operation.responses[answer.status], `${where}: this status is not described`);
  const described = schemas.resolve(operation.responses[answer.status]);
  assert(/^[A-Za-z0-9._-]{1,64}$/.test(answer.headers['x-request-id'] ?? ''), `${where}: no X-Request-Id`);
  checkHeaders(described, answer, where);
  if (!described.content) {
    assert.strictEqual(answer.bytes.length, 0, where);
    return;
  }
  const type = answer.headers['content-type'];
  assert(described.content[type], `${where}: '${type}' is not described`);
  if (type !== JSON_TYPE) return;
  const fault = schemas.fault(described.content[type].schema, answer.json());
  assert(fault === undefined, `${where}: ${fault}`);
}

// A request of an operation: {path: {}, query: {}, headers: {}, type, body}.
function targetOf(path, { inPath = {}, query = {} }) {
  const pairs = Object.entries(query).map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  return path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(inPath[name])) + (pairs.length ? `?${pairs.join('&')}` : '');
}

async function send(path, method, operation, request, what) {
  const headers = { 'X-Request-Id': 'openapi-test', ...request.headers };
  let body;
  if (request.type !== undefined) {
    body = Buffer.from(typeof request.body === 'string' ? request.body : JSON.stringify(request.body));
    headers['Content-Type'] = request.type;
    headers['Content-Length'] = body.length;
  }
  const answer = await kilnd.ask(method.toUpperCase(), targetOf(path, request), { headers, body });
  sent++;
  checkAnswer(operation, answer, `${method} ${path} ${what} ${JSON.stringify({ ...request, made: undefined, body: request.type && String(body).slice(0, 200) })}`);
  return answer;
}

// In examples these stand for a context and a module.
const CONTEXT = '5b1e0f6c2d3a49788f6e5d4c3b2a1908-1';
const MODULE = '5b1e0f6c2d3a49788f6e5d4c3b2a1908-2';
const SOURCES = { link: "import y from 'y';", moduleError: 'throw 1;' };

// What an operation of sessions needs: a context, a module, and the object that its path names, in the right state.
async function furnish(path, operation) {
  const post = async (target, body) => (await kilnd.post(target, body, JSON_TYPE)).json();
  if (path === '/v1/images/{id}') return post('/v1/images', { scripts: [{ source: '1' }] });
  if (!operation.tags.includes('sessions')) return {};
  const { id: context, session } = await post('/v1/contexts', {});
  const { id: module } = await post('/v1/modules', { context, exports: { default: 1 } });
  const make = {
    sessions: () => ({ id: session }),
    contexts: () => ({ id: context }),
    scripts: () => post('/v1/scripts', { session, source: '1' }),
    functions: () => post('/v1/functions', { context, source: 'return a + b;', params: ['a', 'b'] }),
    modules: async () => {
      if (operation.operationId === 'setExport') return { id: module };
      const made = await post('/v1/modules', { context, source: SOURCES[operation.operationId] ?? 'export let x = 1;' });
      if (/evaluate|namespace|error/i.test(operation.operationId)) await post(`/v1/modules/${made.id}/link`, {});
      if (/namespace|error/i.test(operation.operationId)) await post(`/v1/modules/${made.id}/evaluate`, {});
      return made;
    },
  }[path.split('/')[2]];
  return { context, module, id: (await make()).id };
}

// What the operation is asked with when a single thing of it is varied.
async function baseOf(path, operation, parameters) {
  const request = { inPath: {}, query: {}, headers: {}, made: await furnish(path, operation) };
  request.real = (value) => JSON.parse(JSON.stringify(value).replaceAll(CONTEXT, request.made.context).replaceAll(MODULE, request.made.module));
  for (const parameter of parameters) {
    if (!parameter.required) continue;
    const place = { path: request.inPath, query: request.query, header: request.headers }[parameter.in];
    place[parameter.name] = /key/i.test(parameter.name) ? key : parameter.name === 'id' ? request.made.id : schemas.good(parameter.schema)[0];
  }
  // A body that is the source itself has no field to name a context.
  if (contentOf(operation)[JS] && parameters.some((one) => one.name === 'context')) request.query.context = request.made.context;
  const [type, content] = Object.entries(contentOf(operation))[0] ?? [];
  if (type) Object.assign(request, { type, body: request.real(Object.values(content.examples)[0].value) });
  return request;
}

const REFUSED = ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE', 'ERR_UNKNOWN_OPTION', 'ERR_MISSING_OPTION', 'ERR_TOO_LARGE'];
function mustRefuse(answer, what) {
  assert(answer.status === 400 || answer.status === 413, `${what}: ${answer.status} ${answer.text.slice(0, 200)}`);
  assert(REFUSED.includes(answer.json().error.code), `${what}: ${answer.text}`);
}
// What is described by itself may still not go with the rest of the request.
function mustKnow(answer, what) {
  if (answer.status === 400) assert(!['ERR_INVALID_ARG_TYPE', 'ERR_UNKNOWN_OPTION'].includes(answer.json().error.code), `${what}: ${answer.text}`);
}

async function tryParameter(path, method, operation, parameter, base) {
  const vary = (value) => {
    const request = { ...base, inPath: { ...base.inPath }, query: { ...base.query }, headers: { ...base.headers } };
    ({ path: request.inPath, query: request.query, header: request.headers })[parameter.in][parameter.name] = value;
    return request;
  };
  const text = (value) => (Array.isArray(value) ? value.join(',') : String(value));
  const takes = parameter.in === 'path' || parameter.in === 'query';
  for (const value of schemas.good(parameter.schema)) {
    if (!takes) continue;
    const answer = await send(path, method, operation, vary(text(value)), `good ${parameter.name}`);
    mustKnow(answer, `${method} ${path} ${parameter.name}=${text(value)}`);
  }
  if (!takes) return;
  const type = schemas.resolve(parameter.schema).type;
  for (const value of schemas.bad(parameter.schema)) {
    // In a query all is text: what differs in type only is not to be seen there.
    if (value === null || typeof value === 'object' || (type === 'string' && typeof value !== 'string')) continue;
    if (type === 'array') continue;
    mustRefuse(await send(path, method, operation, vary(text(value)), `bad ${parameter.name}`), `${method} ${path} ${parameter.name}=${text(value).slice(0, 80)}`);
  }
}

async function tryBody(path, method, operation, schema, base) {
  // Objects of many fields are varied from an example that is quick to answer.
  const example = base.body;
  const properties = schemas.resolve(schema).properties;
  for (const [name, own] of Object.entries(properties)) {
    for (const value of schemas.good(own)) {
      const body = { ...example, [name]: value };
      mustKnow(await send(path, method, operation, { ...base, body }, `good ${name}`), `${method} ${path} ${name}: ${JSON.stringify(value).slice(0, 80)}`);
    }
    for (const value of schemas.bad(own)) {
      const body = { ...example, [name]: value };
      mustRefuse(await send(path, method, operation, { ...base, body }, `bad ${name}`), `${method} ${path} ${name}: ${JSON.stringify(value).slice(0, 80)}`);
    }
  }
  mustRefuse(await send(path, method, operation, { ...base, body: { ...example, unknownField: 1 } }, 'unknown field'), `${method} ${path}`);
  for (const name of schemas.resolve(schema).required ?? []) {
    const { [name]: gone, ...body } = example;
    mustRefuse(await send(path, method, operation, { ...base, body }, `without ${name}`), `${method} ${path} without ${name}`);
  }
  const empty = schemas.resolve(operation.requestBody).required ? [''] : [];
  for (const body of [...empty, '{', '[]', 'null', '1', '"a"', '{"a":1,"a":2}', '\ufeff{}', '{}{}', `${'['.repeat(3000)}`])
    assert.strictEqual((await send(path, method, operation, { ...base, body }, 'no JSON object')).status, 400, `${method} ${path} ${body.slice(0, 20)}`);
}

const cases = {
  async 'the description is there and whole'() {
    kilnd = await Kilnd.start(program, engine, ['--timeout-default', '1500', '--timeout-max', '2000', '--body-max', '2M']);
    const answer = await kilnd.ask('GET', '/v1/openapi.json');
    assert.deepStrictEqual([answer.status, answer.headers['content-type']], [200, JSON_TYPE]);
    document = answer.json();
    schemas = new Schemas(document);
    assert(/^3\.1\.\d+$/.test(document.openapi) && document.info.title && document.info.version);
    const ids = [...operations()].map(([, , operation]) => operation.operationId);
    assert(ids.length >= 12 && new Set(ids).size === ids.length, `${ids}`);
    for (const [path, method, operation, parameters] of operations()) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      assert.deepStrictEqual(parameters.filter((one) => one.in === 'path').map((one) => one.name), named, path);
      assert(operation.summary && operation.tags.every((tag) => document.tags.some((one) => one.name === tag)), `${method} ${path}`);
      for (const content of Object.values(contentOf(operation))) assert(Object.keys(content.examples).length > 0, `${method} ${path}: no example`);
    }
    key = (await kilnd.post('/v1/compile', '1 + 1')).json().key;
  },
  async 'examples'() {
    for (const [path, method, operation, parameters] of operations()) {
      const base = await baseOf(path, operation, parameters);
      const contents = Object.entries(contentOf(operation));
      if (contents.length === 0) {
        const answer = await send(path, method, operation, base, 'plain');
        assert(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.text}`);
      }
      for (const [type, { schema, examples }] of contents)
        for (const [name, { value }] of Object.entries(examples)) {
          assert.strictEqual(schemas.fault(schema, value), undefined, `${method} ${path} ${name}`);
          const own = await baseOf(path, operation, parameters);
          if (type === JSON_TYPE) own.query = {};
          const answer = await send(path, method, operation, { ...own, type, body: own.real(value) }, name);
          assert(answer.status < 300, `${method} ${path} ${name}: ${answer.status} ${answer.text}`);
        }
    }
  },
  async 'parameters'() {
    for (const [path, method, operation, parameters] of operations()) {
      const base = await baseOf(path, operation, parameters);
      for (const parameter of parameters) await tryParameter(path, method, operation, parameter, base);
      if (base.type !== JS) continue;
      mustRefuse(await send(path, method, operation, { ...base, query: { ...base.query, unknownParameter: 1 } }, 'unknown parameter'), `${method} ${path}`);
      const { name } = parameters.find((one) => /filename|identifier/.test(one.name));
      const twice = await kilnd.post(`${targetOf(path, { ...base, query: { ...base.query, [name]: 'a' } })}&${name}=b`, base.body, base.type);
      mustRefuse(twice, `${path}: a parameter twice`);
    }
  },
  async 'bodies'() {
    for (const [path, method, operation, parameters] of operations()) {
      const content = contentOf(operation)[JSON_TYPE];
      if (!content) continue;
      const own = await baseOf(path, operation, parameters);
      const base = { ...own, query: {}, type: JSON_TYPE, body: own.real(Object.values(content.examples)[0].value) };
      await tryBody(path, method, operation, content.schema, base);
    }
  },
  async 'wrong types, sizes, hosts'() {
    for (const [path, method, operation, parameters] of operations()) {
      const base = await baseOf(path, operation, parameters);
      const ask = async (change, status, what) =>
        assert.strictEqual((await send(path, method, operation, { ...base, ...change, headers: { ...base.headers, ...change.headers } }, what)).status, status, `${method} ${path}: ${what}`);
      await ask({ headers: { Host: 'evil.example' } }, 421, 'a Host of others');
      if (base.type === undefined) {
        await ask({ type: 'text/plain', body: 'x' }, 400, 'a body where none is');
        continue;
      }
      await ask({ type: 'text/html' }, 415, 'a type that is not described');
      await ask({ type: `${base.type}; charset=latin1` }, 415, 'a charset');
      await ask({ headers: { 'Content-Encoding': 'gzip' } }, 415, 'an encoding');
      await ask({ body: ' '.repeat(2 * 1024 * 1024 + 1) }, 413, 'a body over the limit');
    }
  },
  async 'what is not described is not there'() {
    for (const [path, item] of Object.entries(document.paths)) {
      const target = targetOf(path, { inPath: new Proxy({}, { get: () => key }) });
      const has = METHODS.filter((method) => item[method]).map((method) => method.toUpperCase());
      for (const method of [...METHODS.map((one) => one.toUpperCase()), ...BROWSERS].filter((one) => !has.includes(one))) {
        const answer = await kilnd.ask(method, target);
        assert.strictEqual(answer.status, 405, `${method} ${target}`);
        const allowed = answer.headers.allow.split(', ').filter((one) => one !== 'HEAD');
        assert.deepStrictEqual(allowed.sort(), has.sort(), `${path}: Allow`);
        assert.strictEqual(schemas.fault({ $ref: '#/components/schemas/Error' }, answer.json()), undefined);
      }
    }
    for (const target of ['/', '/v1', '/v1/', '/v1/run/', '/v1/runs', '/metrics/', '/V1/run', '/v1//run', '/openapi.json'])
      assert.strictEqual((await kilnd.ask('GET', target)).status, 404, target);
  },
  async 'HEAD is GET without its body'() {
    for (const [path, method, operation, parameters] of operations()) {
      if (method !== 'get') continue;
      const target = targetOf(path, await baseOf(path, operation, parameters));
      const [get, head] = [await kilnd.ask('GET', target), await kilnd.ask('HEAD', target)];
      assert.deepStrictEqual([head.status, head.headers['content-type'], head.bytes.length], [get.status, get.headers['content-type'], 0], target);
    }
  },
  async 'ranges and conditions'() {
    const operation = document.paths['/v1/cachedData/{key}'].get;
    const ask = (headers, inPath = { key }) => send('/v1/cachedData/{key}', 'get', operation, { inPath, headers }, 'range');
    const { etag } = (await ask({})).headers;
    const tries = [[{ Range: 'bytes=0-9' }, 206], [{ Range: 'bytes=999999-' }, 416], [{ 'If-None-Match': etag }, 304], [{ Range: 'bytes=0-9', 'If-Range': '"x"' }, 200]];
    for (const [headers, status] of tries) assert.strictEqual((await ask(headers)).status, status, JSON.stringify(headers));
    assert.strictEqual((await ask({}, { key: '0'.repeat(64) })).status, 404);
  },
  async 'tokens and rates, where the description says so'() {
    const file = path.join(temporaryFolder(), 'tokens');
    const hash = (token) => createHash('sha256').update(token).digest('hex');
    fs.writeFileSync(file, `admin sha256:${hash('all')} all\nbake sha256:${hash('bakes')}\nrun sha256:${hash('runs')}\n`, { mode: 0o600 });
    const open = kilnd;
    kilnd = await Kilnd.start(program, engine, ['--tokens', file]);
    const bearer = (token) => ({ headers: { Authorization: `Bearer ${token}` } });
    let forbidden = 0;
    for (const [path, method, operation, parameters] of operations()) {
      kilnd.token = 'all';
      const base = await baseOf(path, operation, parameters);
      kilnd.token = undefined;
      const free = operation.security?.length === 0;
      const without = await send(path, method, operation, base, 'no token');
      assert.strictEqual(without.status === 401, !free, `${method} ${path}: ${without.status}`);
      assert.strictEqual((await send(path, method, operation, { ...base, ...bearer('unknown') }, 'unknown')).status === 401, !free);
      for (const token of ['bakes', 'runs']) forbidden += (await send(path, method, operation, { ...base, ...bearer(token) }, token)).status === 403;
      assert(![401, 403].includes((await send(path, method, operation, { ...base, ...bearer('all') }, 'admin')).status));
    }
    assert(forbidden >= 8, `${forbidden} forbidden`);
    assert.strictEqual(await kilnd.stop(), 0);
    kilnd = await Kilnd.start(program, engine, ['--rate', '1', '--no-store'], { store: false });
    const { get } = document.paths['/v1/stats'];
    const statuses = [];
    for (let i = 0; i < 5; i++) statuses.push((await send('/v1/stats', 'get', get, {}, 'rate')).status);
    assert(statuses.includes(429), `${statuses}`);
    assert.strictEqual(await kilnd.stop(), 0);
    kilnd = open;
  },
  async 'the validator can fail'() {
    const bad = [[{ type: 'integer' }, 1.5], [{ type: 'object', additionalProperties: false }, { a: 1 }], [{ type: 'array', maxItems: 1 }, [1, 2]], [{ enum: ['a'] }, 'b'],
      [{ oneOf: [{ type: 'null' }, { type: 'string' }] }, 1], [{ type: 'string', pattern: '^a$' }, 'b'], [{ type: 'object', required: ['a'] }, {}], [{ const: true }, false]];
    for (const [schema, value] of bad) assert.notStrictEqual(schemas.fault(schema, value), undefined, JSON.stringify(schema));
    assert.throws(() => schemas.fault({ multipleOf: 2 }, 3), /not known/);
    assert.throws(() => checkAnswer({ responses: {} }, { status: 200, text: '', headers: {} }, 'x'), /not described/);
    assert(sent > 500, `${sent} requests`);
    console.log(`${sent} requests, each answered as described`);
    assert.strictEqual((await kilnd.ask('GET', '/v1/stats')).json().server.responses_5xx, 0);
    assert.strictEqual(await kilnd.stop(), 0);
  },
};

runCases('server_openapi', cases);
