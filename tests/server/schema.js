// SPDX-License-Identifier: MIT
//
// schema.js: the part of JSON Schema 2020-12 that kilnd's description uses: validate(), and values that a schema takes or
// refuses. A keyword that is not known here is an error, so that none is passed over.
'use strict';

const KNOWN = ['$ref', 'type', 'enum', 'const', 'properties', 'required', 'additionalProperties', 'items', 'minItems', 'maxItems', 'minimum', 'maximum',
  'pattern', 'maxLength', 'maxProperties', 'oneOf', 'description', 'format'];

class Schemas {
  constructor(document) {
    this.document = document;
  }

  resolve(schema) {
    if (schema.$ref === undefined) return schema;
    const found = schema.$ref.slice(2).split('/').reduce((at, name) => at?.[name], this.document);
    if (found === undefined) throw new Error(`${schema.$ref}: leads nowhere`);
    return this.resolve(found);
  }

  // What is wrong with a value; undefined: nothing.
  fault(given, value, where = '$') {
    const schema = this.resolve(given);
    for (const keyword of Object.keys(schema)) if (!KNOWN.includes(keyword)) throw new Error(`keyword '${keyword}' is not known`);
    if (schema.oneOf) {
      const fits = schema.oneOf.filter((one) => this.fault(one, value, where) === undefined).length;
      if (fits !== 1) return `${where}: fits ${fits} of oneOf`;
    }
    if (schema.enum && !schema.enum.includes(value)) return `${where}: ${JSON.stringify(value)} is none of ${schema.enum}`;
    if ('const' in schema && schema.const !== value) return `${where}: is not ${schema.const}`;
    if (schema.type && !hasType(schema.type, value)) return `${where}: ${JSON.stringify(value)} is no ${schema.type}`;
    if (typeof value === 'string') {
      if (schema.pattern && !new RegExp(schema.pattern).test(value)) return `${where}: '${value}' is not as ${schema.pattern}`;
      if (value.length > schema.maxLength) return `${where}: is longer than ${schema.maxLength}`;
    }
    if (typeof value === 'number' && (value < schema.minimum || value > schema.maximum)) return `${where}: ${value} is out of range`;
    if (Array.isArray(value)) {
      if (value.length < schema.minItems || value.length > schema.maxItems) return `${where}: has ${value.length} items`;
      return schema.items && first(value, (one, i) => this.fault(schema.items, one, `${where}[${i}]`));
    }
    if (value !== null && typeof value === 'object') return this.faultOfObject(schema, value, where);
    return undefined;
  }

  faultOfObject(schema, value, where) {
    const names = Object.keys(value);
    const missing = (schema.required ?? []).find((name) => !(name in value));
    if (missing) return `${where}: has no '${missing}'`;
    if (names.length > schema.maxProperties) return `${where}: has ${names.length} members`;
    return first(names, (name) => {
      const own = schema.properties?.[name] ?? schema.additionalProperties;
      if (own === false) return `${where}: '${name}' is unknown`;
      return own === undefined ? undefined : this.fault(own, value[name], `${where}.${name}`);
    });
  }

  // Values at the edges of what the schema takes.
  good(given) {
    const schema = this.resolve(given);
    if (schema.oneOf) return schema.oneOf.flatMap((one) => this.good(one));
    if (schema.enum) return [...schema.enum];
    if ('const' in schema) return [schema.const];
    switch (schema.type) {
      case 'string':
        return schema.pattern ? ['0'.repeat(64)] : ['', 'a', 'ä€', ...(schema.maxLength ? ['m'.repeat(schema.maxLength)] : [])];
      case 'integer':
        return [schema.minimum ?? 0, schema.maximum ?? 1];
      case 'boolean':
        return [true, false];
      case 'array':
        return [...(schema.minItems ? [] : [[]]), ...(schema.items ? this.good(schema.items).map((one) => [one]) : [[1, 'a', null]])];
      case 'object': {
        const members = Object.entries(schema.properties ?? {}).flatMap(([name, own]) => this.good(own).map((value) => ({ ...this.needed(schema), [name]: value })));
        if (typeof schema.additionalProperties === 'object') members.push(...this.good(schema.additionalProperties).map((value) => ({ own: value })));
        return [this.needed(schema), ...members];
      }
      default:
        return [null, 1, 'a', {}];
    }
  }

  needed(schema) {
    return Object.fromEntries((schema.required ?? []).map((name) => [name, this.good(schema.properties[name])[1] ?? this.good(schema.properties[name])[0]]));
  }

  // Values that it refuses, each for one reason.
  bad(given) {
    const schema = this.resolve(given);
    const candidates = [null, true, 7, 1.5, 'no such value', [], {}, ['a'], { a: 1 }];
    if (schema.minimum !== undefined) candidates.push(schema.minimum - 1);
    if (schema.maximum !== undefined) candidates.push(schema.maximum + 1);
    if (schema.maxLength !== undefined) candidates.push('m'.repeat(schema.maxLength + 1));
    if (schema.maxItems !== undefined) candidates.push(Array(schema.maxItems + 1).fill(this.good(schema.items)[0]));
    if (schema.maxProperties !== undefined) candidates.push(Object.fromEntries([...Array(schema.maxProperties + 1)].map((_, i) => [`p${i}`, ''])));
    if (schema.type === 'array' && schema.items) candidates.push(...this.bad(schema.items).map((one) => [one]));
    if (schema.type === 'object') {
      const needed = this.needed(schema);
      candidates.push({ ...needed, unknownMember: 1 });
      for (const name of schema.required ?? []) candidates.push(Object.fromEntries(Object.entries(needed).filter(([one]) => one !== name)));
      for (const [name, own] of Object.entries(schema.properties ?? {})) candidates.push(...this.bad(own).map((value) => ({ ...needed, [name]: value })));
      if (typeof schema.additionalProperties === 'object') candidates.push(...this.bad(schema.additionalProperties).map((value) => ({ own: value })));
    }
    return candidates.filter((value) => this.fault(schema, value) !== undefined);
  }
}

function first(list, find) {
  for (let i = 0; i < list.length; i++) {
    const found = find(list[i], i);
    if (found !== undefined) return found;
  }
  return undefined;
}

function hasType(type, value) {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object') return value !== null && typeof value === 'object' && !Array.isArray(value);
  return typeof value === type;
}

module.exports = { Schemas };
