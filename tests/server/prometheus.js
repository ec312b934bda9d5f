// SPDX-License-Identifier: MIT
//
// prometheus.js: a strict reader of Prometheus's text format 0.0.4. It takes less than Prometheus does: each family has
// HELP, TYPE and samples in one place, once; nothing else stands in the text.
'use strict';

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const UNITS = /_(milliseconds|ms|us|ns|kilobytes|kib|mib|percent)(_|$)/;

function fail(line, why) {
  throw new Error(`${why}: ${line}`);
}

function unescape(line, text, known) {
  return text.replace(/\\(.?)/g, (whole, c) => {
    if (!(c in known)) fail(line, `escape '${whole}'`);
    return known[c];
  });
}

function parseLabels(line, text) {
  const labels = {};
  let rest = text;
  while (rest !== '') {
    const match = /^([^=]+)="((?:[^"\\\n]|\\.)*)"(,|$)/.exec(rest);
    if (!match) fail(line, `labels at '${rest}'`);
    const [whole, name, value, comma] = match;
    if (!LABEL.test(name) || name.startsWith('__')) fail(line, `label '${name}'`);
    if (name in labels) fail(line, `label '${name}' twice`);
    labels[name] = unescape(line, value, { '\\': '\\', '"': '"', n: '\n' });
    rest = rest.slice(whole.length);
    if (comma === ',' && rest === '') fail(line, 'comma at the end');
  }
  return labels;
}

function parseValue(line, text) {
  if (text === '+Inf') return Infinity;
  if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text)) fail(line, `value '${text}'`);
  return Number(text);
}

function parseSample(line) {
  const match = /^([^{\s]+)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (!match || !NAME.test(match[1])) fail(line, 'no sample');
  return { name: match[1], labels: match[2] === undefined ? {} : parseLabels(line, match[2]), value: parseValue(line, match[3]) };
}

function checkHistogram(family) {
  const series = new Map();
  for (const sample of family.samples) {
    const { le, ...labels } = sample.labels;
    const id = JSON.stringify(labels);
    if (!series.has(id)) series.set(id, { buckets: [] });
    const one = series.get(id);
    if (sample.name.endsWith('_bucket')) one.buckets.push([le === '+Inf' ? Infinity : Number(le), sample.value]);
    else if (le !== undefined) throw new Error(`${sample.name}: has le`);
    else one[sample.name.slice(family.name.length + 1)] = sample.value;
  }
  for (const [id, { buckets, sum, count }] of series) {
    const where = `${family.name}${id}`;
    if (sum === undefined || count === undefined) throw new Error(`${where}: no sum or count`);
    for (let i = 1; i < buckets.length; i++) {
      if (!(buckets[i][0] > buckets[i - 1][0])) throw new Error(`${where}: buckets out of order`);
      if (buckets[i][1] < buckets[i - 1][1]) throw new Error(`${where}: buckets are not cumulative`);
    }
    const last = buckets[buckets.length - 1];
    if (!last || last[0] !== Infinity) throw new Error(`${where}: no +Inf`);
    if (last[1] !== count) throw new Error(`${where}: +Inf is not the count`);
    if (count === 0 && sum !== 0) throw new Error(`${where}: a sum of nothing`);
  }
}

function checkFamily(family) {
  const { name, type, samples } = family;
  if (samples.length === 0) throw new Error(`${name}: no samples`);
  if (UNITS.test(name)) throw new Error(`${name}: no base unit`);
  if ((type === 'counter') !== name.endsWith('_total')) throw new Error(`${name}: a ${type} named so`);
  const seen = new Set();
  for (const sample of samples) {
    const ends = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    if (!ends.some((end) => sample.name === name + end)) throw new Error(`${sample.name}: within ${name}`);
    const id = sample.name + JSON.stringify(Object.entries(sample.labels).sort());
    if (seen.has(id)) throw new Error(`${id}: twice`);
    seen.add(id);
    if (type !== 'gauge' && !(sample.value >= 0)) throw new Error(`${id}: below 0`);
  }
  if (type === 'histogram') checkHistogram(family);
}

// {families: Map, get(name, labels): number or undefined}
function parse(text) {
  if (!text.endsWith('\n')) throw new Error('no line end at the end');
  const families = new Map();
  let family = null;
  let help = null;
  for (const line of text.slice(0, -1).split('\n')) {
    if (/[\x00-\x08\x0b-\x1f\x7f]/.test(line)) fail(line, 'control character');
    let match;
    if ((match = /^# HELP (\S+) (\S.*)$/.exec(line))) {
      if (!NAME.test(match[1])) fail(line, 'name');
      if (help) fail(line, 'HELP after HELP');
      help = { name: match[1], text: unescape(line, match[2], { '\\': '\\', n: '\n' }) };
    } else if ((match = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line))) {
      if (!help || help.name !== match[1]) fail(line, 'TYPE without its HELP');
      if (families.has(match[1])) fail(line, 'family twice');
      family = { name: match[1], type: match[2], help: help.text, samples: [] };
      families.set(family.name, family);
      help = null;
    } else {
      if (!family || help) fail(line, 'sample outside of a family');
      family.samples.push(parseSample(line));
    }
  }
  if (help) throw new Error(`${help.name}: HELP at the end`);
  for (const one of families.values()) checkFamily(one);
  const get = (name, labels = {}) => {
    for (const one of families.values())
      for (const sample of one.samples)
        if (sample.name === name && Object.entries(labels).every(([k, v]) => sample.labels[k] === v) &&
            Object.keys(sample.labels).length === Object.keys(labels).length) return sample.value;
    return undefined;
  };
  return { families, get };
}

module.exports = { parse };
