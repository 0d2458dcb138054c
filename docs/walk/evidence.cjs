
"use strict";
// Verify evidence packages of the record format, version 1, from its specification alone.

class Broken extends Error { constructor(index, reason) { super(reason); this.index = index; } }
class Malformed extends Error {}
class Refused extends Error {}

const MAX_RECORD = 65535, MAX_SMALL = 1000000, MAX_DEPTH = 8, MAX_FILES = 300000, MAX_REMARKS = 1000, LONGEST_RUN = 256;
const ZERO_HASH = "sha256:" + "0".repeat(64);
const ED25519 = 1, COSIGNATURE = 4;
const KINDS = new Set(("tightening.result measurement.result unit.entered unit.left identifier.scanned parameter.changed " +
  "alarm.raised alarm.cleared tool.changed operator.signed_on operator.signed_off gate.closed gate.opened device.lost device.back " +
  "source.gap source.conflict source.epoch stream.created gateway.started gateway.stopped gateway.heartbeat config.applied " +
  "key.rotated clock.status clock.stepped custody.received journal.pressure journal.pruned stream.continuity anchor.written").split(" "));
const STARTING = new Set(["stream.created", "key.rotated", "gateway.started", "stream.continuity"]);

// --- bytes ---------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder();
const utf8 = (text) => encoder.encode(text);
function text(bytes) {
  try { return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes); }
  catch { throw new Malformed("not UTF-8"); }
}
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (digits) => Uint8Array.from(digits.match(/../g) || [], (pair) => parseInt(pair, 16));
const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
function joined(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
}
function latin1(bytes) {
  let all = "";
  for (let at = 0; at < bytes.length; at += 32768) all += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return all;
}
function base64(bytes) { return btoa(latin1(bytes)); }
function unbase64(encoded, what) {
  let raw;
  try { raw = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0)); } catch { raw = null; }
  if (raw === null || base64(raw) !== encoded) throw new Malformed(what + " is not canonical base64");
  return raw;
}

// --- SHA-256 (FIPS 180-4), here because the browser's own cannot be called without waiting ---------------------------------

const ROUND = new Uint32Array(64), INITIAL = new Uint32Array(8);
(function constants() {
  const fraction = (value) => Math.floor((value - Math.floor(value)) * 2 ** 32);
  let found = 0;
  for (let number = 2; found < 64; number++) {
    let prime = true;
    for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) prime = false;
    if (!prime) continue;
    if (found < 8) INITIAL[found] = fraction(Math.sqrt(number));
    ROUND[found++] = fraction(Math.cbrt(number));
  }
})();
const schedule = new Uint32Array(64);
function sha256(data) {
  const state = INITIAL.slice();
  const padded = new Uint8Array((data.length + 72) & ~63);
  padded.set(data);
  padded[data.length] = 128;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(data.length / 2 ** 29));
  view.setUint32(padded.length - 4, data.length << 3);
  for (let block = 0; block < padded.length; block += 64) {
    for (let t = 0; t < 16; t++) schedule[t] = view.getUint32(block + 4 * t);
    for (let t = 16; t < 64; t++) {
      const x = schedule[t - 15], y = schedule[t - 2];
      schedule[t] = schedule[t - 16] + schedule[t - 7] +
        ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3) + ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10);
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let t = 0; t < 64; t++) {
      const first = h + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + (e & f ^ ~e & g) + ROUND[t] + schedule[t] | 0;
      const second = ((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + (a & b ^ a & c ^ b & c) | 0;
      h = g; g = f; f = e; e = d + first | 0; d = c; c = b; b = a; a = first + second | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((word, at) => { state[at] += word; });
  }
  const digest = new Uint8Array(32), out = new DataView(digest.buffer);
  state.forEach((word, at) => out.setUint32(4 * at, word));
  return digest;
}

// --- canonical JSON (specification, 2.1) --------------------------------------------------------------------------------

function checkProfile(value, depth = 1) {
  if (value === null || typeof value === "boolean") return;
  if (typeof value === "string") {
    if (/\p{Surrogate}/u.test(value)) throw new Malformed("a string holds a lone surrogate");
  } else if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new Malformed("a number is not an integer within 2^53-1");
  } else {
    if (depth > MAX_DEPTH) throw new Malformed("deeper than " + MAX_DEPTH + " levels");
    if (!Array.isArray(value)) {
      for (const name of Object.keys(value)) {
        if (!/^[a-z0-9_]+$/.test(name)) throw new Malformed("the key " + JSON.stringify(name) + " is not of the form [a-z0-9_]+");
      }
    }
    for (const member of Object.values(value)) checkProfile(member, depth + 1);
  }
}
function canonical(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  return "{" + Object.keys(value).sort().map((name) => JSON.stringify(name) + ":" + canonical(value[name])).join(",") + "}";
}
function parseJson(source) {
  let value;
  try { value = JSON.parse(source); } catch { throw new Malformed("not JSON"); }
  checkProfile(value);
  return value;
}
function decode(bytes) {
  if (bytes.length > MAX_RECORD) throw new Malformed(bytes.length + " bytes are more than the " + MAX_RECORD + " allowed");
  const source = text(bytes), value = parseJson(source);
  if (canonical(value) !== source) throw new Malformed("not in canonical form (a key twice, order, blanks, numbers or escapes)");
  return value;
}

// --- members of a record (specification, 2.2) ---------------------------------------------------------------------------

const isText = (value) => typeof value === "string";
const isCount = (value) => typeof value === "number" && value >= 0;
const isWhole = (value) => typeof value === "number";
const isScalar = (value) => value === null || typeof value !== "object";
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const oneOf = (...words) => (value) => words.includes(value);
const like = (pattern) => (value) => typeof value === "string" && pattern.test(value);
const HASH = like(/^sha256:[0-9a-f]{64}$/);
const TIME = like(/^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$/);
const shape = (required, optional = {}) => ({ required: new Map(Object.entries(required)), optional: new Map(Object.entries(optional)) });
const texts = (names) => Object.fromEntries(names.split(" ").map((name) => [name, isText]));
const RECORD = shape({
  event_id: like(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/), tenant_id: isText, sequence_no: isCount, kind: (value) => KINDS.has(value),
  action: oneOf("create", "read", "update", "delete", "execute"), occurred_at: TIME, ingested_at: TIME, actor: isObject,
  resource: isObject, changes: Array.isArray, reason: isText, context: isObject, clock: isObject, integrity: isObject,
});
const ACTOR = shape({ type: oneOf("user", "service", "device", "system"), id: isText }, texts("display_name auth_method source_ip"));
const RESOURCE = shape(texts("type id"), { parent: isObject });
const PARENT = shape(texts("type id"));
const CHANGE = shape({ field: isText, before: isScalar, after: isScalar }, { ...texts("unit low high"), status: oneOf("ok", "low", "high", "nok") });
const CONTEXT = shape({}, {
  ...texts("plant_id line_id station_id device_id session_id correlation_id request_id raw_sha256"), raw_hmac_sha256: like(/^[0-9a-f]{64}$/),
});
const CLOCK = shape({
  sync: oneOf("locked", "holdover", "unsynced"), step: isCount, boot_id: isText, boottime_us: isCount,
  occurred_from: oneOf("device", "server", "poll", "gateway"),
}, { bound_us: isCount, occurred_unc_ms: isCount, device_time: isText, device_offset_ms: isWhole });
const INTEGRITY = shape({ v: (value) => value === 1, stream: isText, key_id: like(/^[0-9a-f]{8}$/), prev_hash: HASH, record_hash: HASH }, { signature: isText });

function checkMembers(where, value, { required, optional }, wrong = Malformed) {
  if (!isObject(value)) throw new wrong(where + " is not an object");
  for (const [name, content] of Object.entries(value)) {
    const fits = required.get(name) || optional.get(name);
    if (!fits) throw new wrong(where + " has the unknown member " + JSON.stringify(name));
    if (!fits(content)) throw new wrong(where + "." + name + " has a value that the format does not allow");
  }
  for (const name of required.keys()) if (!Object.hasOwn(value, name)) throw new wrong(where + " lacks " + name);
}
function signatureOf(value) {
  const raw = isText(value) && value.startsWith("ed25519:") ? unbase64(value.slice(8), "the signature") : new Uint8Array();
  if (raw.length !== 64) throw new Malformed("the signature is not ed25519: and the base64 of 64 bytes");
  return raw;
}
const isSigned = (value) => Object.hasOwn(value.integrity, "signature");
function parseRecord(bytes) {
  const value = decode(bytes);
  checkMembers("record", value, RECORD);
  checkMembers("actor", value.actor, ACTOR);
  checkMembers("resource", value.resource, RESOURCE);
  if (Object.hasOwn(value.resource, "parent")) checkMembers("resource.parent", value.resource.parent, PARENT);
  value.changes.forEach((change, at) => checkMembers("changes[" + at + "]", change, CHANGE));
  checkMembers("context", value.context, CONTEXT);
  checkMembers("clock", value.clock, CLOCK);
  checkMembers("integrity", value.integrity, INTEGRITY);
  if (isSigned(value)) signatureOf(value.integrity.signature);
  return value;
}
function pae(type, body) { return joined(utf8("DSSEv1 " + utf8(type).length + " " + type + " " + body.length + " "), body); }
function messageOf(value) {
  const { record_hash, signature, ...integrity } = value.integrity;
  return pae("application/vnd.linewitness.record.v1+json", utf8(canonical({ ...value, integrity })));
}

// --- Ed25519 keys (specification, 5.1): the point must be canonical and in the main subgroup ---------------------------------

const P = 2n ** 255n - 19n, L = 2n ** 252n + 27742317777372353535851937790883648493n;
const mod = (value) => ((value % P) + P) % P;
function power(base, exponent) {
  let result = 1n;
  for (let factor = mod(base); exponent > 0n; exponent >>= 1n, factor = factor * factor % P) if (exponent & 1n) result = result * factor % P;
  return result;
}
const D = mod(-121665n * power(121666n, P - 2n));
function addPoints([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2)), b = mod((y1 + x1) * (y2 + x2)), c = mod(2n * D * t1 * t2), d = mod(2n * z1 * z2);
  const e = b - a, f = d - c, g = d + c, h = b + a;
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}
function isStrongPoint(bytes) {
  const number = BigInt("0x" + hex(bytes.slice().reverse()));
  const sign = number >> 255n, y = number & (2n ** 255n - 1n);
  if (y >= P) return false;
  const square = mod((y * y - 1n) * power(D * y * y + 1n, P - 2n));
  let x = power(square, (P + 3n) / 8n);
  if (mod(x * x - square) !== 0n) x = x * power(2n, (P - 1n) / 4n) % P;
  if (mod(x * x - square) !== 0n || x === 0n) return false;
  if ((x & 1n) !== sign) x = P - x;
  let point = [x, y, 1n, x * y % P], result = [0n, 1n, 1n, 0n];
  for (let scalar = L; scalar > 0n; scalar >>= 1n, point = addPoints(point, point)) if (scalar & 1n) result = addPoints(result, point);
  return result[0] === 0n && result[1] === result[2];
}

// --- keys, notes, checkpoints (specification, 6 to 8) -----------------------------------------------------------------------

// What a key's name must not hold: a plus sign, and each character that any reader takes for a space.
const NAME = /^[^+\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+$/u;
class Vkey {
  constructor(spelling) {
    const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/u.exec(spelling) || [];
    if (!name || !NAME.test(name)) throw new Malformed(JSON.stringify(spelling) + " is not a vkey");
    const raw = unbase64(encoded, "the key of " + name);
    if (raw.length !== 33 || ![ED25519, COSIGNATURE].includes(raw[0])) throw new Malformed(spelling + " is not an Ed25519 or cosignature key");
    Object.assign(this, { spelling, name, id, type: raw[0], raw: raw.slice(1) });
    if (!isStrongPoint(this.raw)) throw new Malformed("the key of " + name + " is a weak one: not a point of Ed25519's main subgroup");
    if (hex(sha256(joined(utf8(name + "\n"), raw)).slice(0, 4)) !== id) throw new Malformed("the key id of " + spelling + " is wrong");
  }
  get public() { return hex(this.raw); }
  async verifies(message, signature) {
    // Libraries differ on the neutral element as R, which only somebody makes who gives the own key away.
    if (signature.length !== 64 || signature.every((byte, at) => at >= 32 || byte === (at ? 0 : 1))) return false;
    this.imported ??= crypto.subtle.importKey("raw", this.raw, { name: "Ed25519" }, false, ["verify"]);
    return crypto.subtle.verify({ name: "Ed25519" }, await this.imported, signature, message);
  }
}
function parseNote(source) {
  const at = source.lastIndexOf("\n\n");
  if (at < 0 || !source.endsWith("\n") || at + 2 >= source.length) throw new Malformed("a note lacks its signature block");
  if (/[\u0000-\u0009\u000b-\u001f]/.test(source)) throw new Malformed("a note holds control characters");
  const lines = source.slice(at + 2, -1).split("\n").map((line) => {
    const [, name, encoded] = /^\u2014 ([^ ]+) (.+)$/su.exec(line) || [];
    const raw = name && NAME.test(name) ? unbase64(encoded, "the signature of " + name) : new Uint8Array();
    if (raw.length <= 4) throw new Malformed(JSON.stringify(line) + " is not a signature line");
    return { name, id: hex(raw.slice(0, 4)), signature: raw.slice(4) };
  });
  if (lines.length > 100) throw new Malformed("a note with " + lines.length + " signatures is too large");
  return { text: source.slice(0, at + 1), lines };
}
// Return the time of a key's signature (0 for a plain one), or null if the note has none; a false one is an error.
async function signedBy(note, vkey) {
  let found = null;
  for (const line of note.lines) {
    if (line.name !== vkey.name || line.id !== vkey.id) continue;
    let message = utf8(note.text), signature = line.signature, time = 0;
    if (vkey.type === COSIGNATURE) {
      const seconds = BigInt("0x0" + hex(signature.slice(0, 8)));
      message = utf8("cosignature/v1\ntime " + seconds + "\n" + note.text);
      signature = signature.slice(8);
      time = seconds < 2n ** 63n ? Number(seconds) : Infinity;
    }
    if (time === Infinity || !await vkey.verifies(message, signature)) throw new Malformed("the signature of " + vkey.name + " (" + vkey.id + ") is wrong");
    found ??= time;
  }
  return found;
}
function parseCheckpoint(source) {
  const [, origin, size, root] = /^([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n$/.exec(source) || [];
  if (!origin || !Number.isSafeInteger(Number(size))) throw new Malformed("a checkpoint is three lines: origin, size and root");
  const checkpoint = { origin, size: Number(size), root: hex(unbase64(root, "the root")) };
  if (checkpoint.size === 0 && checkpoint.root !== hex(sha256(new Uint8Array()))) throw new Malformed("the root of no records is another");
  return checkpoint;
}
// Return the checkpoint of a note that the log key signed, with the attesters of the policy who cosigned it.
async function believe(source, name, policy) {
  const note = parseNote(source), checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== policy.origin) throw new Malformed("the checkpoint is of " + checkpoint.origin + ", not of " + policy.origin);
  if (await signedBy(note, policy.log) === null) throw new Malformed("the checkpoint is not signed by the log key " + policy.log.id);
  const attestations = [];
  for (const { party, role, vkey } of [{ vkey: policy.log }, ...policy.attesters]) {
    const time = await signedBy(note, vkey);
    if (time === null) continue;
    const firsts = policy.revocations.filter((one) => one.vkey.public === vkey.public).map((one) => one.first);
    if (checkpoint.size > Math.min(...firsts)) throw new Malformed("the key of " + vkey.name + " is revoked from record " + Math.min(...firsts) + " on");
    if (party !== undefined) attestations.push({ party, role, name: vkey.name, size: checkpoint.size, root: checkpoint.root, time_s: time });
  }
  return { name, checkpoint, attestations };
}

// --- DER (ITU-T X.690), read strictly and without recursion ----------------------------------------------------------------

const DER = { boolean: 1, integer: 2, bits: 3, octets: 4, nothing: 5, oid: 6, utc: 0x17, general: 0x18, sequence: 0x30, set: 0x31 };
const tagged = (number, constructed = true) => (constructed ? 0xa0 : 0x80) | number;
function elementsOf(data, what) {
  const found = [];
  for (let at = 0; at < data.length;) {
    const { start, length } = headerOf(data, at, what), end = start + length;
    if (end > data.length) throw new Malformed(what + " is cut off");
    found.push({ tag: data[at], content: data.subarray(start, end), raw: data.subarray(at, end) });
    at = end;
  }
  return found;
}
function headerOf(data, at, what) {
  if (data.length < at + 2 || (data[at] & 31) === 31) throw new Malformed(what + " is not DER");
  if (data[at + 1] < 128) return { start: at + 2, length: data[at + 1] };
  const count = data[at + 1] - 128, digits = data.subarray(at + 2, at + 2 + count);
  if (count < 1 || count > 3 || digits.length !== count) throw new Malformed(what + " has a length that DER does not allow");
  const length = digits.reduce((sum, digit) => sum * 256 + digit, 0);
  if (digits[0] === 0 || length < 128) throw new Malformed(what + " has a length that DER does not allow");
  return { start: at + 2 + count, length };
}
function onlyElement(data, what) {
  const found = elementsOf(data, what);
  if (found.length !== 1) throw new Malformed(what + " is not one DER value");
  return found[0];
}
// The members of a SEQUENCE, or of what else has this tag, taken one after the other.
class Fields {
  constructor(element, what, tag = DER.sequence) {
    if (element.tag !== tag) throw new Malformed(what + " is of another type");
    Object.assign(this, { members: elementsOf(element.content, what), what, at: 0 });
  }
  maybe(...tags) { return this.at < this.members.length && tags.includes(this.members[this.at].tag) ? this.members[this.at++] : null; }
  take(tag) {
    const found = this.maybe(tag);
    if (found === null) throw new Malformed(this.what + " lacks a member");
    return found;
  }
  rest() { return this.members.slice(this.at, this.at = this.members.length); }
  end() { if (this.at !== this.members.length) throw new Malformed(this.what + " has a member too many"); }
}
function numberOf({ tag, content }, what) {
  const padded = content.length > 1 && content[0] === 0 && content[1] < 128;
  if (tag !== DER.integer || !content.length || padded || content[0] >= 128) throw new Malformed(what + " is not a number of 0 or more");
  return BigInt("0x" + hex(content));
}
function wholeBits({ tag, content }, what) {
  if (tag !== DER.bits || !content.length || content[0] !== 0) throw new Malformed(what + " is not a string of whole bytes");
  return content.subarray(1);
}
const DER_MOMENT = "(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])";
const DER_TIME = {
  [DER.utc]: new RegExp("^([0-9]{2})" + DER_MOMENT + "Z$"),
  [DER.general]: new RegExp("^(19[5-9][0-9]|[2-9][0-9]{3})" + DER_MOMENT + "(?:[.][0-9]{1,9})?Z$"),
};
// Return a time in Unix seconds, cut to the second.
function timeOf({ tag, content }, what) {
  const found = content.length < 40 && DER_TIME[tag] ? DER_TIME[tag].exec(String.fromCharCode(...content)) : null;
  if (!found) throw new Malformed(what + " is not a time in UTC");
  const numbers = found.slice(1).map(Number);
  if (tag === DER.utc) numbers[0] += numbers[0] >= 50 ? 1900 : 2000;
  const [year, month, day, hour, minute, second] = numbers, date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  if (date.getUTCDate() !== day) throw new Malformed(what + " is no date of the calendar");
  return date.getTime() / 1000;
}

// --- signatures of time-stamping authorities: RSA and ECDSA with SHA-2 (specification, 11.5) -----------------------------------

const DIGESTS = { "608648016503040201": "SHA-256", "608648016503040202": "SHA-384", "608648016503040203": "SHA-512" };
const RSA_KEY = "2a864886f70d010101", EC_KEY = "2a8648ce3d0201", PSS = "2a864886f70d01010a", MGF1 = "2a864886f70d010108";
const CURVES = { "2a8648ce3d030107": { curve: "P-256", width: 32 }, "2b81040022": { curve: "P-384", width: 48 } };
const SIGNED_WITH = {
  "2a864886f70d01010b": ["rsa", "SHA-256"], "2a864886f70d01010c": ["rsa", "SHA-384"], "2a864886f70d01010d": ["rsa", "SHA-512"],
  "2a8648ce3d040302": ["ecdsa", "SHA-256"], "2a8648ce3d040303": ["ecdsa", "SHA-384"], "2a8648ce3d040304": ["ecdsa", "SHA-512"],
};
const hashed = async (digest, data) => new Uint8Array(await crypto.subtle.digest(digest, data));
const oidOf = (fields) => hex(fields.take(DER.oid).content);
function noParameters(fields) {
  const empty = fields.maybe(DER.nothing);
  if (empty && empty.content.length) throw new Malformed("an algorithm is odd");
}
function digestOf(algorithm) {
  const fields = new Fields(algorithm, "a digest's algorithm"), name = oidOf(fields);
  noParameters(fields);
  fields.end();
  if (!Object.hasOwn(DIGESTS, name)) throw new Malformed("a digest is not SHA-256, SHA-384 or SHA-512");
  return DIGESTS[name];
}
// Return how something is signed; `digest` is what else says which digest is used.
function schemeOf(algorithm, digest = null) {
  const fields = new Fields(algorithm, "a signature's algorithm"), name = oidOf(fields);
  let scheme;
  if (name === PSS) scheme = pssOf(fields.take(DER.sequence));
  else if (name === RSA_KEY && digest !== null) scheme = { kind: "rsa", digest };
  else if (Object.hasOwn(SIGNED_WITH, name)) scheme = { kind: SIGNED_WITH[name][0], digest: SIGNED_WITH[name][1] };
  else throw new Malformed("a signature is of a kind that is not understood");
  if (name !== PSS) noParameters(fields);
  fields.end();
  if (digest !== null && scheme.digest !== digest) throw new Malformed("a signature names two digests");
  return scheme;
}
function pssOf(parameters) {
  const inside = (element, number) => {
    const [only] = new Fields(element, "a signature's algorithm", tagged(number)).rest();
    if (!only || !same(only.raw, element.content)) throw new Malformed("a signature's algorithm is odd");
    return only;
  };
  const fields = new Fields(parameters, "a signature's algorithm"), digest = digestOf(inside(fields.take(tagged(0)), 0));
  const mask = new Fields(inside(fields.take(tagged(1)), 1), "a signature's algorithm");
  if (oidOf(mask) !== MGF1 || digestOf(mask.take(DER.sequence)) !== digest) throw new Malformed("a signature is of a kind that is not understood");
  mask.end();
  const salt = numberOf(inside(fields.take(tagged(2)), 2), "a salt's length"), trailer = fields.maybe(tagged(3));
  fields.end();
  if (salt > 64n || (trailer && numberOf(inside(trailer, 3), "a trailer") !== 1n)) throw new Malformed("a signature is of a kind that is not understood");
  return { kind: "pss", digest, salt: Number(salt) };
}
function authorityKey(element) {
  const fields = new Fields(element, "a key"), algorithm = new Fields(fields.take(DER.sequence), "a key's algorithm");
  const bits = wholeBits(fields.take(DER.bits), "a key");
  fields.end();
  const name = oidOf(algorithm);
  if (name === RSA_KEY) {
    if (algorithm.take(DER.nothing).content.length) throw new Malformed("a key's algorithm is odd");
    algorithm.end();
    checkRsa(bits);
    return { kind: "rsa", data: element.raw };
  }
  if (name !== EC_KEY) throw new Malformed("a key is neither RSA nor of an elliptic curve");
  const { curve, width } = CURVES[oidOf(algorithm)] || {};
  algorithm.end();
  if (!curve || bits.length !== 1 + 2 * width || bits[0] !== 4) throw new Malformed("a key is not of P-256 or P-384");
  return { kind: "ecdsa", curve, width, data: bits };
}
function checkRsa(bits) {
  const fields = new Fields(onlyElement(bits, "a key"), "a key");
  const modulus = numberOf(fields.take(DER.integer), "a key"), exponent = numberOf(fields.take(DER.integer), "a key");
  fields.end();
  const length = modulus.toString(16).length * 4 - Math.clz32(parseInt(modulus.toString(16)[0], 16)) + 28;
  if (modulus === 0n || length < 2048 || length > 8192) throw new Malformed("a key has " + (modulus && length) + " bits, not 2048 to 8192");
  if (exponent < 3n || exponent > 0xffffffffn || !(modulus & 1n) || !(exponent & 1n)) throw new Malformed("a key is odd");
}
// Return whether a signature is of the right form and good; false also for keys that make no sense.
async function signatureIsGood(key, { kind, digest, salt }, signature, message) {
  if ((kind === "ecdsa") !== (key.kind === "ecdsa")) return false;
  if (kind === "ecdsa" && (signature = plainPair(signature, key.width)) === null) return false;
  const name = { rsa: "RSASSA-PKCS1-v1_5", pss: "RSA-PSS", ecdsa: "ECDSA" }[kind];
  try {
    const made = kind === "ecdsa" ? { name, namedCurve: key.curve } : { name, hash: digest };
    const imported = await crypto.subtle.importKey(kind === "ecdsa" ? "raw" : "spki", key.data, made, false, ["verify"]);
    return await crypto.subtle.verify({ name, hash: digest, saltLength: salt }, imported, signature, message);
  } catch { return false; }
}
// Return the two numbers of an ECDSA signature as bytes of one width, or null.
function plainPair(signature, width) {
  try {
    const fields = new Fields(onlyElement(signature, "a signature"), "a signature"), pair = new Uint8Array(2 * width);
    for (const end of [width, 2 * width]) {
      const element = fields.take(DER.integer);
      numberOf(element, "a signature");
      const digits = element.content[0] === 0 ? element.content.subarray(1) : element.content;
      if (digits.length > width) return null;
      pair.set(digits, end - digits.length);
    }
    fields.end();
    return pair;
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

// --- certificates of time-stamping authorities (specification, 11.5) --------------------------------------------------------------

const COMMON_NAME = "550403", BASIC = "551d13", USAGE = "551d0f", PURPOSES = "551d25", UNDERSTOOD = [BASIC, USAGE, PURPOSES, "551d20"];
const TIME_STAMPING = "2b06010505070308", ANY_PURPOSE = "551d2500";
function extensionsOf(listed, tag = DER.sequence) {
  const found = new Map();
  for (const extension of new Fields(listed, "the extensions", tag).rest()) {
    const fields = new Fields(extension, "an extension"), name = oidOf(fields), critical = fields.maybe(DER.boolean);
    const value = fields.take(DER.octets).content;
    fields.end();
    if (found.has(name)) throw new Malformed("an extension is there twice");
    found.set(name, { critical: critical !== null && !isFalse(critical), value });
  }
  return found;
}
const isFalse = ({ content }) => content.length === 1 && content[0] === 0;
function commonName(name) {
  let found = "";
  for (const group of new Fields(name, "a name").rest()) {
    for (const pair of new Fields(group, "a name", DER.set).rest()) {
      const fields = new Fields(pair, "a name");
      if (oidOf(fields) !== COMMON_NAME) continue;
      const value = fields.maybe(0x0c, 0x13, 0x16);
      if (!value || !value.content.length || value.content.length > 200) continue;
      try { found = value.content.some((byte) => byte < 32 || byte === 127) ? "" : text(value.content); } catch { found = ""; }
    }
  }
  return found;
}
class Certificate {
  constructor(data) {
    const outer = new Fields(onlyElement(data, "a certificate"), "a certificate");
    const signed = outer.take(DER.sequence), scheme = outer.take(DER.sequence), signature = wholeBits(outer.take(DER.bits), "a certificate's signature");
    outer.end();
    const fields = new Fields(signed, "a certificate"), version = new Fields(fields.take(tagged(0)), "a certificate's version", tagged(0));
    if (numberOf(version.take(DER.integer), "a certificate's version") !== 2n) throw new Malformed("a certificate is not of version 3");
    fields.take(DER.integer);
    if (!same(fields.take(DER.sequence).raw, scheme.raw)) throw new Malformed("a certificate names two algorithms");
    const issuer = fields.take(DER.sequence), validity = new Fields(fields.take(DER.sequence), "a certificate's validity");
    const [first, last] = [0, 1].map(() => {
      const found = validity.maybe(DER.utc, DER.general);
      if (!found) throw new Malformed("a certificate's validity is of another type");
      return timeOf(found, "a certificate's validity");
    });
    validity.end();
    const subject = fields.take(DER.sequence), key = authorityKey(fields.take(DER.sequence));
    for (const number of [1, 2]) fields.maybe(tagged(number, false));
    const wrapped = new Fields(fields.take(tagged(3)), "the extensions", tagged(3));
    fields.end();
    const extensions = extensionsOf(wrapped.take(DER.sequence));
    wrapped.end();
    const name = commonName(subject) || "certificate " + hex(sha256(data)).slice(0, 16);
    Object.assign(this, { raw: data, signed: signed.raw, scheme, signature, issuer: issuer.raw, subject: subject.raw, name, key, first, last, extensions });
  }
  get purposes() {
    const { value } = this.extensions.get(PURPOSES);
    const names = value.length ? new Fields(onlyElement(value, "a certificate's purposes"), "a certificate's purposes").rest() : [];
    if (names.some((name) => name.tag !== DER.oid)) throw new Malformed("a certificate's purposes are of another type");
    return names.map((name) => hex(name.content));
  }
  // What the key may be used for, the first bit highest of 16; null if it is not said.
  get usage() {
    if (!this.extensions.has(USAGE)) return null;
    const { tag, content } = onlyElement(this.extensions.get(USAGE).value, "a key's usage");
    if (tag !== DER.bits || ![2, 3].includes(content.length)) throw new Malformed("a key's usage is odd");
    return content[1] << 8 | (content[2] || 0);
  }
  get constraints() {
    const { value } = this.extensions.get(BASIC) || { value: [] };
    if (!value.length) return { authority: false, longest: null };
    const fields = new Fields(onlyElement(value, "a certificate's constraints"), "a certificate's constraints");
    const authority = fields.maybe(DER.boolean), longest = fields.maybe(DER.integer);
    fields.end();
    return { authority: authority !== null && !isFalse(authority), longest: longest && numberOf(longest, "a certificate's constraints") };
  }
  // It must be made for signing time stamps, and for nothing else.
  checkSigner() {
    const wrong = new Malformed("the certificate of " + this.name + " is not made for time stamps alone");
    if (!this.extensions.has(PURPOSES) || !this.extensions.get(PURPOSES).critical || this.purposes.join() !== TIME_STAMPING) throw wrong;
    if (this.usage !== null && (this.usage & ~0xc000 || !this.usage)) throw wrong;
  }
  // It must be allowed to sign certificates, with `below` others between it and the signer's.
  checkIssuer(below) {
    const { authority, longest } = this.constraints, usage = this.usage;
    if (!authority || (usage !== null && !(usage & 0x0400))) throw new Malformed(this.name + " may not sign certificates");
    if (longest !== null && below > longest) throw new Malformed(this.name + " may not sign certificates so far above the signer's");
    if (this.extensions.has(PURPOSES) && !this.purposes.some((one) => [TIME_STAMPING, ANY_PURPOSE].includes(one))) {
      throw new Malformed(this.name + " may not sign certificates for time stamps");
    }
  }
  checkValid(time) {
    if (time < this.first || time > this.last) throw new Malformed("the certificate of " + this.name + " was not valid at the time of the stamp");
    for (const [name, { critical }] of this.extensions) {
      if (critical && !UNDERSTOOD.includes(name)) throw new Malformed("the certificate of " + this.name + " has a condition that is not understood");
    }
  }
  async isSignedBy(issuer) {
    return same(this.issuer, issuer.subject) && await signatureIsGood(issuer.key, schemeOf(this.scheme), this.signature, this.signed);
  }
}
function readableCertificates(all) {
  return all.flatMap((data) => {
    try { return [new Certificate(data)]; } catch (error) {
      if (error instanceof Malformed) return [];
      throw error;
    }
  });
}
// Return the root to which a certificate leads at a time. Each certificate is tried once, so this ends soon.
async function rootOf(signer, others, roots, time) {
  signer.checkValid(time);
  if (roots.some((root) => same(root.raw, signer.raw))) return signer;
  let why = new Malformed("the certificate of " + signer.name + " does not lead to a root that the policy names");
  const waiting = [{ at: signer, below: 0 }], tried = new Set([hex(signer.raw)]);
  while (waiting.length) {
    const { at, below } = waiting.pop();
    for (const [number, candidate] of [...roots, ...others].entries()) {
      if (number >= roots.length && tried.has(hex(candidate.raw))) continue;
      try {
        if (!await at.isSignedBy(candidate)) continue;
        candidate.checkValid(time);
        candidate.checkIssuer(below);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        why = error;
        continue;
      }
      if (number < roots.length) return candidate;
      tried.add(hex(candidate.raw));
      waiting.push({ at: candidate, below: below + 1 });
    }
  }
  throw why;
}

// --- time stamps (RFC 3161) over checkpoints (specification, 11.5) ----------------------------------------------------------------

const MAX_TOKEN = 100000, MAX_CERTIFICATES = 16, TIME_STAMP = "time stamp", NO_FORM = "the token is not of the form of RFC 3161";
const SIGNED_DATA = "2a864886f70d010702", TST_INFO = "2a864886f70d0109100104", CONTENT_TYPE = "2a864886f70d010903";
const MESSAGE_DIGEST = "2a864886f70d010904", SIGNER_BY_SHA1 = "2a864886f70d010910020c", SIGNER = "2a864886f70d010910022f";
// Return what a token says about the bytes `stamped`: who signed it, to which root that leads, and when.
async function openStamp(token, stamped, rootCertificates) {
  if (token.length > MAX_TOKEN) throw new Malformed("the token is larger than " + MAX_TOKEN + " bytes");
  const { content, certificates, signerInfo } = signedData(token), info = stampInfo(content);
  if (!same(await hashed(info.digest, stamped), info.imprint)) throw new Malformed("the token is about other bytes than these of the checkpoint");
  const signature = await stampSignature(signerInfo, content), signer = await signerAmong(certificates, signature.attributes);
  signer.checkSigner();
  const scheme = schemeOf(signature.algorithm, signature.digest);
  if (!await signatureIsGood(signer.key, scheme, signature.value, signature.signed)) throw new Malformed("the signature of the token is not one of " + signer.name);
  const root = await rootOf(signer, certificates, readableCertificates(rootCertificates), info.time);
  return { name: signer.name, root: root.name, time_s: info.time };
}
function signedData(token) {
  const response = new Fields(onlyElement(token, "the token"), "the token");
  const answered = numberOf(new Fields(response.take(DER.sequence), "the token's status").take(DER.integer), "the token's status");
  if (answered > 1n) throw new Malformed("the authority refused to stamp" + (answered < 100n ? ": status " + answered : ""));
  const outer = new Fields(response.take(DER.sequence), "the token");
  response.end();
  if (oidOf(outer) !== SIGNED_DATA) throw new Malformed(NO_FORM);
  const wrapped = new Fields(outer.take(tagged(0)), "the token", tagged(0));
  outer.end();
  const data = new Fields(wrapped.take(DER.sequence), "the token");
  wrapped.end();
  data.take(DER.integer);
  data.take(DER.set);
  const inside = new Fields(data.take(DER.sequence), "the token's content");
  if (oidOf(inside) !== TST_INFO) throw new Malformed("the token is not a time stamp");
  const held = new Fields(inside.take(tagged(0)), "the token's content", tagged(0));
  inside.end();
  const content = held.take(DER.octets).content;
  held.end();
  const listed = data.maybe(tagged(0));
  data.maybe(tagged(1));
  const signers = new Fields(data.take(DER.set), "the token's signatures", DER.set);
  data.end();
  const signerInfo = signers.take(DER.sequence);
  signers.end();
  const found = listed ? elementsOf(listed.content, "the token's certificates") : [];
  if (found.length > MAX_CERTIFICATES) throw new Malformed("the token holds more than " + MAX_CERTIFICATES + " certificates");
  return { content, certificates: readableCertificates(found.map((one) => one.raw)), signerInfo };
}
function stampInfo(content) {
  const fields = new Fields(onlyElement(content, "a time stamp"), "a time stamp");
  if (numberOf(fields.take(DER.integer), "a time stamp's version") !== 1n) throw new Malformed("the time stamp is not of version 1");
  fields.take(DER.oid);
  const about = new Fields(fields.take(DER.sequence), "a time stamp's imprint");
  const digest = digestOf(about.take(DER.sequence)), imprint = about.take(DER.octets).content;
  about.end();
  fields.take(DER.integer);
  const time = timeOf(fields.take(DER.general), "the time of the stamp");
  fields.maybe(DER.sequence);
  fields.maybe(DER.boolean);
  const nonce = fields.maybe(DER.integer);
  fields.maybe(tagged(0));
  const extensions = fields.maybe(tagged(1));
  fields.end();
  if (extensions && [...extensionsOf(extensions, tagged(1)).values()].some((one) => one.critical)) {
    throw new Malformed("the time stamp has a condition that is not understood");
  }
  if (nonce) numberOf(nonce, "a nonce");
  return { digest, imprint, time };
}
async function stampSignature(element, content) {
  const fields = new Fields(element, "the token's signature");
  fields.take(DER.integer);
  // The signer is found by its hash among the attributes: those are signed, this name is not.
  if (!fields.maybe(DER.sequence, tagged(0, false))) throw new Malformed(NO_FORM);
  const digest = digestOf(fields.take(DER.sequence)), listed = fields.take(tagged(0)), attributes = new Map();
  for (const attribute of new Fields(listed, "the token's attributes", tagged(0)).rest()) {
    const one = new Fields(attribute, "an attribute"), name = oidOf(one), values = new Fields(one.take(DER.set), "an attribute", DER.set).rest();
    one.end();
    if (attributes.has(name) || values.length !== 1) throw new Malformed("an attribute of the token has more or less than one value");
    attributes.set(name, values[0]);
  }
  const algorithm = fields.take(DER.sequence), value = fields.take(DER.octets).content;
  fields.maybe(tagged(1));
  fields.end();
  const only = (name, tag) => {
    const found = attributes.get(name);
    if (!found || found.tag !== tag) throw new Malformed("the token's signature lacks an attribute");
    return found.content;
  };
  if (hex(only(CONTENT_TYPE, DER.oid)) !== TST_INFO) throw new Malformed("the signature is about something else than a time stamp");
  if (!same(only(MESSAGE_DIGEST, DER.octets), await hashed(digest, content))) throw new Malformed("the token was altered: what it says is not what was signed");
  // Signed are the attributes as a SET, not as the [0] that stands here.
  return { digest, attributes, algorithm, value, signed: joined(Uint8Array.of(DER.set), listed.raw.subarray(1)) };
}
async function signerAmong(certificates, attributes) {
  const names = [SIGNER, SIGNER_BY_SHA1].filter((name) => attributes.has(name)).map((name) => {
    const listed = new Fields(attributes.get(name), "the token's signer").take(DER.sequence);
    const fields = new Fields(new Fields(listed, "the token's signer").take(DER.sequence), "the token's signer");
    const algorithm = name === SIGNER ? fields.maybe(DER.sequence) : null;
    const digest = algorithm ? digestOf(algorithm) : name === SIGNER ? "SHA-256" : "SHA-1";
    return { digest, hash: fields.take(DER.octets).content };
  });
  if (!names.length) throw new Malformed("the token does not name the certificate of its signer");
  for (const one of certificates) {
    const fits = await Promise.all(names.map(async ({ digest, hash }) => same(await hashed(digest, one.raw), hash)));
    if (fits.every(Boolean)) return one;
  }
  throw new Malformed("the token does not hold the certificate of its signer");
}
function newestStamps(believed) {
  const newest = new Map();
  for (const { stamp } of believed) {
    if (!stamp) continue;
    const known = newest.get(stamp.name);
    if (!known || stamp.size > known.size || (stamp.size === known.size && stamp.time_s < known.time_s)) newest.set(stamp.name, stamp);
  }
  return [...newest.values()].sort((a, b) => b.size - a.size);
}

// --- Merkle trees (RFC 6962) ---------------------------------------------------------------------------------------------

const leafHash = (bytes) => sha256(joined(Uint8Array.of(0), bytes));
const nodeHash = (left, right) => sha256(joined(Uint8Array.of(1), left, right));
class Tree {
  constructor() { this.size = 0; this.edge = []; }
  append(leaf) {
    let level = 0;
    for (; this.edge[level]; level++) { leaf = nodeHash(this.edge[level], leaf); this.edge[level] = null; }
    this.edge[level] = leaf;
    this.size++;
  }
  root() { return hex(this.edge.reduce((right, left) => left ? (right ? nodeHash(left, right) : left) : right, null) || sha256(new Uint8Array())); }
}
function provesInclusion(leaf, index, size, root, path) {
  if (index >= size) return false;
  let node = leaf, at = BigInt(index), last = BigInt(size - 1);
  for (const sibling of path) {
    if (last === 0n) return false;
    if ((at & 1n) === 1n || at === last) {
      node = nodeHash(sibling, node);
      while (at !== 0n && (at & 1n) === 0n) { at >>= 1n; last >>= 1n; }
    } else node = nodeHash(node, sibling);
    at >>= 1n; last >>= 1n;
  }
  return last === 0n && hex(node) === root;
}
// Return whether the tree of `old` leaves is the beginning of the tree of `size`.
function provesConsistency(old, oldRoot, size, root, path) {
  if (old <= 0 || path.length > 64) return false;
  let at = BigInt(old - 1), last = BigInt(size - 1);
  // A tree of 2^k leaves is itself a node of the larger tree, so the path leaves it out.
  const nodes = (BigInt(old) & at) === 0n ? [unhex(oldRoot), ...path] : path;
  if (!nodes.length) return false;
  for (; (at & 1n) === 1n; at >>= 1n) last >>= 1n;
  let before = nodes[0], now = nodes[0];
  for (const sibling of nodes.slice(1)) {
    if (last === 0n) return false;
    if ((at & 1n) === 1n || at === last) {
      before = nodeHash(sibling, before);
      now = nodeHash(sibling, now);
      while (at !== 0n && (at & 1n) === 0n) { at >>= 1n; last >>= 1n; }
    } else now = nodeHash(now, sibling);
    at >>= 1n; last >>= 1n;
  }
  return last === 0n && hex(before) === oldRoot && hex(now) === root;
}

// --- the policy (specification, 11.2) ---------------------------------------------------------------------------------

const POLICY = shape({
  v: (value) => value === 1, origin: isText, record_0: HASH, log_key: isText, gateway_party: isText, attesters: Array.isArray, quorum: isWhole,
}, { customer_key: isText, max_age_s: isWhole, tsa_roots: Array.isArray, revocations: Array.isArray });
const ATTESTER = shape({ party: isText, role: oneOf("store", "witness"), key: isText });
const REVOCATION = shape({ key: isText, first: isCount, reason: isText });
const MAX_AGE_S = 3155760000;
// A policy may come as a note that its own customer key signed; whose key that is, nobody can see from it.
async function openPolicy(bytes) {
  try {
    const source = text(bytes), heading = "linewitness/policy/v1\n";
    if (!source.startsWith(heading)) return parsePolicy(source);
    const note = parseNote(source), policy = parsePolicy(note.text.slice(heading.length)), key = policy.customer;
    if (key === null || key.type !== ED25519) throw new Refused("the policy is signed, but names no customer_key");
    if (await signedBy(note, key) === null) throw new Refused("the policy is not signed by the customer key " + key.id);
    return policy;
  } catch (error) {
    if (error instanceof Malformed) throw new Refused("the policy: " + error.message);
    throw error;
  }
}
// Return JSON of any order and white space, whose names stand once in an object and whose numbers are integers.
function parseStrictly(source) {
  const value = parseJson(source);
  if (/[0-9][.eE]/.test(source.replace(/"(?:[^"\\]|\\.)*"/g, "\"\""))) throw new Malformed("a number is not an integer");
  // A name that is there twice is gone from the value: count the names in the source.
  const names = [...source.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)].filter((found) => found[1]);
  const count = (each) => each === null || typeof each !== "object" ? 0 :
    (Array.isArray(each) ? 0 : Object.keys(each).length) + Object.values(each).reduce((sum, one) => sum + count(one), 0);
  if (names.length !== count(value)) throw new Malformed("a member is there twice");
  return value;
}
function parsePolicy(source) {
  try {
    const value = parseStrictly(source);
    checkMembers("the policy", value, POLICY);
    value.attesters.forEach((one) => checkMembers("an attester", one, ATTESTER));
    (value.revocations || []).forEach((one) => checkMembers("a revocation", one, REVOCATION));
    for (const name of ["tsa_roots", "revocations"]) if (value[name] && !value[name].length) delete value[name];
    const policy = {
      value, origin: value.origin, record_0: value.record_0, quorum: value.quorum, gateway_party: value.gateway_party, max_age_s: value.max_age_s,
      log: new Vkey(value.log_key), sha256: "sha256:" + hex(sha256(utf8(canonical(value)))),
      attesters: value.attesters.map((one) => ({ ...one, vkey: new Vkey(one.key) })),
      revocations: (value.revocations || []).map((one) => ({ ...one, vkey: new Vkey(one.key) })),
      tsa_roots: (value.tsa_roots || []).map(rootCertificate),
      customer: value.customer_key === undefined ? null : new Vkey(value.customer_key),
    };
    checkPolicy(policy);
    return policy;
  } catch (error) {
    if (error instanceof Malformed) throw new Refused("the policy: " + error.message);
    throw error;
  }
}
function rootCertificate(encoded) {
  let raw = "";
  try { raw = isText(encoded) ? atob(encoded) : ""; } catch { raw = ""; }
  if (!raw || btoa(raw) !== encoded) throw new Refused("a TSA root is not the base64 of a certificate");
  return Uint8Array.from(raw, (character) => character.charCodeAt(0));
}
// Revocations that came later are notes that the customer key of the policy signed.
async function withRevocations(policy, files) {
  try {
    for (const bytes of files) policy = revoked(policy, await openRevocation(bytes, policy));
    return policy;
  } catch (error) {
    if (error instanceof Malformed) throw new Refused("a revocation: " + error.message);
    throw error;
  }
}
async function openRevocation(bytes, { customer, origin }) {
  if (customer === null) throw new Refused("the policy names no customer_key, so nobody can revoke anything under it");
  const note = parseNote(text(bytes));
  if (customer.type !== ED25519 || await signedBy(note, customer) === null) throw new Malformed("it is not signed by the customer key " + customer.id);
  const [heading, stream, key, first, reason, ...rest] = note.text.split("\n");
  if (heading !== "linewitness/revocation/v1" || rest.length !== 1 || rest[0] !== "") throw new Malformed("it does not have the five lines of one");
  if (!/^(0|[1-9][0-9]{0,15})$/.test(first) || !Number.isSafeInteger(Number(first))) throw new Malformed("its fourth line is not the first record that it covers");
  if (stream !== origin) throw new Malformed("it is for " + stream + ", not for " + origin);
  return { key: new Vkey(key).spelling, first: Number(first), reason };
}
function revoked(policy, revocation) {
  const value = { ...policy.value, revocations: [...policy.value.revocations || [], revocation] };
  const revocations = [...policy.revocations, { ...revocation, vkey: new Vkey(revocation.key) }];
  return { ...policy, value, revocations, sha256: "sha256:" + hex(sha256(utf8(canonical(value)))) };
}
function checkPolicy({ log, origin, attesters, quorum, gateway_party, max_age_s }) {
  if (log.type !== ED25519 || log.name !== origin) throw new Refused("log_key is not a signing key named " + origin);
  const keys = new Set([log.public]), parties = new Set(attesters.map((one) => one.party));
  for (const { vkey } of attesters) {
    if (vkey.type !== COSIGNATURE) throw new Refused("the key of " + vkey.name + " is a plain signing key");
    if (keys.has(vkey.public)) throw new Refused("the key of " + vkey.name + " is there in two roles");
    keys.add(vkey.public);
  }
  if (quorum < 1) throw new Refused("with a quorum of " + quorum + " the gateway's own keys satisfy the policy");
  if (quorum > parties.size) throw new Refused("a quorum of " + quorum + " cannot be reached: the attesters belong to " + parties.size + " parties");
  if (max_age_s !== undefined && !(max_age_s > 0 && max_age_s <= MAX_AGE_S)) throw new Refused("max_age_s is " + max_age_s + ", and no age from 1 to " + MAX_AGE_S);
  if (quorum === 1 && parties.has(gateway_party)) throw new Refused("'" + gateway_party + "' alone satisfies the policy: it holds the gateway's keys and an attester's");
}
function quorumOf(believed, policy) {
  const newest = new Map();
  for (const one of believed.flatMap((each) => each.attestations)) {
    const known = newest.get(one.party);
    if (!known || one.size > known.size || (one.size === known.size && one.time_s < known.time_s)) newest.set(one.party, one);
  }
  const ranked = [...newest.values()].sort((a, b) => b.size - a.size);
  const attested = ranked.length < policy.quorum ? 0 : ranked[policy.quorum - 1].size;
  return { attested, attestations: attested ? ranked.filter((one) => one.size >= attested) : [] };
}

// --- the zip file (specification, 11.3) -------------------------------------------------------------------------------------

const MEMBER = /^(manifest\.json|records\.ndjson|keys\.ndjson|raw\.ndjson|report\.html|verify\.html|(checkpoints|receipts|proofs|anchors)\/[A-Za-z0-9][A-Za-z0-9._-]{0,99})$/;
const LARGE_FILES = new Set(["records.ndjson", "keys.ndjson", "manifest.json", "report.html", "verify.html"]);
const LARGE = 0xffffffff, MANY = 0xffff, MAX_NOTES = 20000000, MAX_PROOFS = 1000000000;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ value >>> 1 : value >>> 1;
  return value >>> 0;
});
function crcOf(chunk, before) {
  let crc = ~before;
  for (let at = 0; at < chunk.length; at++) crc = CRC_TABLE[(crc ^ chunk[at]) & 255] ^ crc >>> 8;
  return ~crc >>> 0;
}
// One layout, byte by byte (specification, 11.3.1): what could be read in two ways is refused.
class Layout {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const { count, first, end } = this.endOf();
    if (count > MAX_FILES) throw new Refused("the package has " + count + " files, more than " + MAX_FILES);
    if (first > end || end - first < count * 46) throw new Refused("the package's table of contents is not where it should be");
    this.files = new Map();
    let at = first, dataEnd = 0;
    for (let number = 0; number < count; number++) {
      const entry = this.entry(at, end), { name, header } = entry;
      if (header !== dataEnd) throw new Refused("before " + name + " lies something that is no file of the package");
      const data = this.local(entry, first);
      if (!MEMBER.test(name)) throw new Refused("the package holds " + JSON.stringify(name) + ", which does not belong into one");
      if (this.files.has(name)) throw new Refused("the package holds " + name + " twice");
      this.files.set(name, { ...entry, packed: bytes.subarray(data, data + entry.packed) });
      at = entry.next;
      dataEnd = data + entry.packed;
    }
    if (at !== end || dataEnd !== first) throw new Refused("the package holds bytes that belong to no file");
  }
  number(at) { return Number(this.view.getBigUint64(at, true)); }
  endOf() {
    const { view } = this, at = this.bytes.length - 22, wrong = new Refused("the end of the package does not say where its table of contents is");
    if (at < 0) throw new Refused("the package is too short to be a zip file");
    const count = view.getUint16(at + 10, true), size = view.getUint32(at + 12, true), first = view.getUint32(at + 16, true);
    if (view.getUint32(at, true) !== 0x06054b50 || view.getUint32(at + 4, true) || view.getUint16(at + 8, true) !== count || view.getUint16(at + 20, true)) {
      throw new Refused("the package does not end as a zip file of one part without a comment does");
    }
    if (at < 20 || view.getUint32(at - 20, true) !== 0x07064b50) {
      if (first + size !== at) throw wrong;
      return { count, first, end: at };
    }
    const large = at - 76;
    if (large < 0 || view.getUint32(at - 16, true) || this.number(at - 12) !== large || view.getUint32(at - 4, true) !== 1) throw wrong;
    const many = this.number(large + 32), wide = this.number(large + 40), far = this.number(large + 48);
    if (view.getUint32(large, true) !== 0x06064b50 || this.number(large + 4) !== 44 || view.getUint32(large + 16, true) || view.getUint32(large + 20, true)) throw wrong;
    if (this.number(large + 24) !== many || far + wide !== large) throw wrong;
    if (count !== Math.min(many, MANY) || size !== Math.min(wide, LARGE) || first !== Math.min(far, LARGE)) throw wrong;
    return { count: many, first: far, end: large };
  }
  entry(at, end) {
    const { view } = this, damaged = new Refused("the package's table of contents is damaged");
    if (end - at < 46) throw damaged;
    const flags = view.getUint16(at + 8, true), method = view.getUint16(at + 10, true), kind = view.getUint32(at + 38, true);
    const named = view.getUint16(at + 28, true), extra = view.getUint16(at + 30, true), fields = at + 46 + named, next = fields + extra;
    if (view.getUint32(at, true) !== 0x02014b50 || fields > end || view.getUint16(at + 32, true) || view.getUint16(at + 34, true)) throw damaged;
    const name = this.nameAt(at + 46, named);
    if (flags || ![0, 8].includes(method)) throw new Refused(name + " is encrypted or compressed in an unusual way");
    if (![0, 8].includes(kind >>> 28) || kind & 0x10) throw new Refused(name + " is not a plain file");
    const [size, packed, header] = this.larger(name, fields, Math.min(extra, Math.max(0, end - fields)), [24, 20, 42].map((place) => view.getUint32(at + place, true)));
    return { name, method, crc: view.getUint32(at + 16, true), size, packed, header, next };
  }
  // Return where the file's data begin, if its own header says the same as the table of contents.
  local({ name, method, crc, size, packed, header }, end) {
    const { view } = this;
    if (header + 30 > end) throw new Refused(name + " is not where the table of contents says");
    const named = view.getUint16(header + 26, true), extra = view.getUint16(header + 28, true), begin = header + 30 + named + extra;
    if (begin > this.bytes.length) throw new Refused(name + " is another file by its own header than by the table of contents");
    const [ownSize, ownPacked] = this.larger(name, header + 30 + named, extra, [view.getUint32(header + 22, true), view.getUint32(header + 18, true), 0]);
    const same = view.getUint32(header, true) === 0x04034b50 && !view.getUint16(header + 6, true) && view.getUint16(header + 8, true) === method &&
      view.getUint32(header + 14, true) === crc && ownPacked === packed && ownSize === size && this.nameAt(header + 30, named) === name;
    if (!same || begin + packed > end) throw new Refused(name + " is another file by its own header than by the table of contents");
    if (method === 0 && packed !== size) throw new Refused(name + " does not unpack to what its header says");
    return begin;
  }
  nameAt(at, length) { return Array.from(this.bytes.subarray(at, at + length), (byte) => byte < 128 ? String.fromCharCode(byte) : "\ufffd").join(""); }
  // Return the numbers with those that the extra field holds, which holds these and nothing else.
  larger(name, at, length, numbers) {
    const wanted = numbers.filter((value) => value === LARGE).length, wrong = new Refused(name + " has fields that do not belong into a package");
    if (length !== (wanted ? 4 + 8 * wanted : 0)) throw wrong;
    if (!wanted) return numbers;
    if (this.view.getUint16(at, true) !== 1 || this.view.getUint16(at + 2, true) !== 8 * wanted) throw wrong;
    let place = at + 4;
    return numbers.map((value) => value === LARGE ? this.number((place += 8) - 8) : value);
  }
}
async function openZip(bytes) {
  const { files } = new Layout(bytes);
  if (!files.has("records.ndjson")) throw new Refused("the package holds no records.ndjson");
  const small = [...files.values()].filter(({ name }) => !LARGE_FILES.has(name));
  const large = small.find(({ name, size }) => size > MAX_SMALL && name !== "raw.ndjson"), total = (all) => all.reduce((sum, { size }) => sum + size, 0);
  if (large) throw new Refused(large.name + " is larger than " + MAX_SMALL + " bytes");
  const proofs = small.filter(({ name }) => name.startsWith("proofs/") || name === "raw.ndjson");
  if (total(small) - total(proofs) > MAX_NOTES || total(proofs) > MAX_PROOFS) throw new Refused("the notes or the proofs of the package are too large together");
  // All of it is unpacked once: damage is found before anything is judged.
  for (const member of files.values()) {
    for await (const chunk of chunksOf(member)) void chunk;
    if (member.method === 8 && await endsEarly(member.packed)) throw new Refused(member.name + " does not unpack to what its header says");
  }
  return files;
}
// Return whether packed data end before their last byte: not every browser objects to what follows.
async function endsEarly(packed) {
  const cut = new Error();
  try {
    for await (const chunk of inflated(packed.subarray(0, packed.length - 1), cut)) void chunk;
    return true;
  } catch (error) {
    if (error !== cut) throw error;
    return false;
  }
}
async function* chunksOf({ name, method, packed, size, crc }) {
  const wrong = new Refused(name + " does not unpack to what its header says");
  let length = 0, sum = 0;
  for await (const chunk of method === 0 ? [packed] : inflated(packed, wrong)) {
    length += chunk.length;
    if (length > size) throw wrong;
    sum = crcOf(chunk, sum);
    if (chunk.length) yield chunk;
  }
  if (length !== size || sum !== crc) throw wrong;
}
async function* inflated(packed, wrong) {
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => { throw wrong; });
      if (done) return;
      yield value;
    }
  } finally { reader.cancel().catch(() => {}); }
}
async function smallBytes(members, name) {
  let all = new Uint8Array();
  for await (const chunk of chunksOf(members.get(name))) {
    all = joined(all, chunk);
    if (all.length > MAX_SMALL) throw new Refused(name + " is larger than " + MAX_SMALL + " bytes");
  }
  return all;
}
async function smallFile(members, name) {
  const all = await smallBytes(members, name);
  try { return text(all); } catch { return ""; }
}
// Return the checkpoints, receipts and anchors, with the time stamps (and consistency proofs) that lie beside them.
async function statementsOf(members) {
  const found = [];
  for (const name of [...members.keys()].filter((each) => /^(checkpoints|receipts|anchors)\//.test(each)).sort()) {
    const [, stem, kind] = /^(anchors\/.*)(\.checkpoint|\.tsr|\.consistency)$/.exec(name) || [];
    if (kind === ".consistency" || (kind === ".tsr" && members.has(stem + ".checkpoint"))) continue;
    const one = { name, source: await smallFile(members, name), token: null };
    if (kind === ".checkpoint" && members.has(stem + ".tsr")) {
      const consistency = members.has(stem + ".consistency") ? await smallFile(members, stem + ".consistency") : null;
      one.token = { name: stem + ".tsr", data: await smallBytes(members, stem + ".tsr"), consistency };
    }
    found.push(one);
  }
  return found;
}
// Yield lines without their line feeds. A line that is too long for a record is cut just beyond the limit.
async function* linesOf(members, name) {
  if (!members.has(name)) return;
  let rest = new Uint8Array();
  for await (const chunk of chunksOf(members.get(name))) {
    let first = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, first)) {
      yield joined(rest, chunk.subarray(first, at));
      rest = new Uint8Array();
      first = at + 1;
    }
    rest = joined(rest, chunk.subarray(first));
    if (rest.length > MAX_RECORD) { yield rest; return; }
  }
  if (rest.length) yield rest;
}

// --- the chain (specification, 12, steps 2 to 8) ------------------------------------------------------------------------------

function changeOf(value, field) {
  const found = value.changes.filter((change) => change.field === field);
  if (found.length !== 1) throw new Malformed(value.kind + " needs the field " + field + " exactly once, not " + found.length + " times");
  return found[0];
}
function eventKey(spelling, stream) {
  const vkey = new Vkey(isText(spelling) ? spelling : "");
  if (vkey.type !== ED25519 || vkey.name !== stream + "/event") throw new Malformed(spelling + " is not a signing key named " + stream + "/event");
  return vkey;
}
class Chain {
  constructor(policy) { Object.assign(this, { policy, size: 0, last: ZERO_HASH, tenant: null, key: null, log: null, unsigned: 0 }); }
  async accept(bytes) {
    try { return await this.follow(bytes); } catch (error) {
      if (error instanceof Malformed) throw this.broken(error.message);
      throw error;
    }
  }
  broken(reason) {
    const first = this.size - this.unsigned, which = this.unsigned === 1 ? "record " + first + " bears" : "records " + first + " to " + (this.size - 1) + " bear";
    return new Broken(this.size, reason + (this.unsigned ? "; " + which + " no signature, so that the altered one can be among them" : ""));
  }
  // Return how many records wait for a signature with this one (specification, 5.2).
  async checkSignature(value, message, key) {
    if (isSigned(value)) {
      if (!await key.verifies(message, signatureOf(value.integrity.signature))) throw this.broken("the signature is not one of the active key " + key.id);
      return 0;
    }
    if (["stream.created", "key.rotated"].includes(value.kind)) throw this.broken(value.kind + " bears no signature");
    if (this.unsigned + 1 === LONGEST_RUN) throw this.broken(LONGEST_RUN + " records one after the other bear no signature");
    return this.unsigned + 1;
  }
  requireSignature() {
    if (this.unsigned) throw new Broken(this.size - 1, "it is the last record and bears no signature: the rest of its commit is missing");
  }
  async follow(bytes) {
    const value = parseRecord(bytes), { integrity } = value, broken = (reason) => this.broken(reason);
    if (integrity.stream !== this.policy.origin) throw broken("it belongs to the stream '" + integrity.stream + "', not to '" + this.policy.origin + "'");
    if (this.tenant !== null && value.tenant_id !== this.tenant) throw broken("it belongs to the tenant '" + value.tenant_id + "', not to '" + this.tenant + "'");
    if (value.sequence_no !== this.size) throw broken("its sequence_no is " + value.sequence_no);
    if (integrity.prev_hash !== this.last) throw broken("its prev_hash is not the hash of the record before, " + this.last);
    if ((value.kind === "stream.created") !== (this.size === 0)) throw broken(value.kind + " stands at the wrong place");
    const message = messageOf(value), hash = "sha256:" + hex(sha256(message));
    if (hash !== integrity.record_hash) throw broken("its content hashes to " + hash + ", not to the record_hash it carries");
    let key = this.key, log = this.log;
    if (this.size === 0) {
      const announced = changeOf(value, "log_key"), first = changeOf(value, "event_key");
      if (announced.before !== null || first.before !== null) throw broken("a key of record 0 has a value before");
      log = new Vkey(isText(announced.after) ? announced.after : "");
      key = eventKey(first.after, this.policy.origin);
      if (log.type !== ED25519 || log.name !== this.policy.origin || log.public === key.public) throw broken("its log key is not a signing key of its own");
    }
    if (integrity.key_id !== key.id) throw broken("signed by the key " + integrity.key_id + ", but the active key is " + key.id);
    const unsigned = await this.checkSignature(value, message, key);
    let next = key;
    if (value.kind === "key.rotated") next = await this.rotated(value, key, log, broken);
    if (this.size === 0) {
      if (hash !== this.policy.record_0) throw broken("it is not the record 0 that the policy names, " + this.policy.record_0);
      if (log.spelling !== this.policy.log.spelling) throw broken("its log key is not the one that the policy names");
    }
    Object.assign(this, { key: next, log, tenant: value.tenant_id, last: hash, size: this.size + 1, unsigned });
    return { value, signer: key };
  }
  async rotated(value, key, log, broken) {
    const change = changeOf(value, "event_key"), proof = changeOf(value, "proof_of_possession");
    const old = eventKey(change.before, this.policy.origin), next = eventKey(change.after, this.policy.origin);
    if (old.spelling !== key.spelling) throw broken("it retires the key " + old.id + ", but the active key is " + key.id);
    if (next.public === key.public) throw broken("the new event key is the old one");
    if (log && next.public === log.public) throw broken("the new event key is the log key");
    const body = canonical({ new_key: next.spelling, prev_hash: value.integrity.prev_hash, sequence_no: value.sequence_no, stream: this.policy.origin });
    const message = pae("application/vnd.linewitness.key-pop.v1+json", utf8(body));
    if (proof.before !== null || !await next.verifies(message, signatureOf(proof.after))) throw broken("the new key " + next.id + " does not prove its possession");
    return next;
  }
}
const seconds = (us) => (us < 0 ? "-" : "+") + (Math.abs(us) / 1e6).toFixed(3);
class Clock {
  constructor() { this.before = null; this.remarks = []; }
  accept(index, value) {
    const { boot_id, boottime_us, step } = value.clock, kind = value.kind, at = new Date(value.ingested_at);
    if (Number.isNaN(at.getTime()) || at.toISOString() !== value.ingested_at || at.getUTCFullYear() < 1) throw new Broken(index, value.ingested_at + " is no date of the calendar");
    const now = { boot_id, boottime_us, step, us: at.getTime() * 1000 }, last = this.before, say = (line) => { if (this.remarks.length < MAX_REMARKS) this.remarks.push({ index, text: line }); };
    this.before = now;
    if (last === null) return;
    if (boot_id !== last.boot_id) {
      if (!STARTING.has(kind)) say("the boot changes without gateway.started");
      if (now.us < last.us) say("after a reboot the clock is " + ((last.us - now.us) / 1e6).toFixed(3) + " s behind the record before");
      return;
    }
    const elapsed = boottime_us - last.boottime_us, moved = now.us - last.us - elapsed, jumped = Math.abs(moved) > 1e6 + 0.001 * elapsed;
    if (elapsed < 0) throw new Broken(index, "boottime_us falls by " + -elapsed + " within one boot");
    if (kind === "clock.stepped") say("the clock was set by " + seconds(moved) + " s, on record");
    else if (STARTING.has(kind)) { if (jumped) say("the clock moved by " + seconds(moved) + " s while nothing was recorded"); }
    else if (step !== last.step) throw new Broken(index, "the count of clock steps goes from " + last.step + " to " + step + " without clock.stepped");
    else if (jumped) throw new Broken(index, "the clock moved by " + seconds(moved) + " s without clock.stepped");
    if (elapsed > 180e6 && !STARTING.has(kind)) say("nothing was recorded for " + Math.floor(elapsed / 1e6) + " s, not even a heartbeat");
  }
}
function checkRevoked(index, signer, policy) {
  for (const one of policy.revocations) {
    if (one.vkey.public === signer.public && index >= one.first) {
      throw new Broken(index, "signed by the event key " + signer.id + ", which is revoked from record " + one.first + " on (" + one.reason + ")");
    }
  }
}

// --- the times of records and attestations (specification, 12.5 and 12.6) -------------------------------------------------------------

const MARGIN_MS = 10000, SAME_SETTING_MS = 1000, MAX_BOUND_MS = 3600000, LONG_AFTER_S = 86400, LATE_S = 60, MAX_SEEN_LATE = 1000, LAST_S = 253402300799;
const CITING = new Set(["custody.received", "anchor.written"]);
const UNITS = [["s", 1, 120], ["min", 60, 7200], ["h", 3600, 172800], ["days", 86400, Infinity]];
const whose = (one) => one.party + " (" + one.role + " " + one.name + ")";
function span(length) {
  const [unit, divisor] = UNITS.find(([, , limit]) => length < limit);
  return Math.floor(length / divisor) + " " + unit;
}
const dated = (time_s) => new Date(time_s * 1000).toISOString().slice(0, 19) + "Z";
const later = (one, other) => one === null || other === null ? one || other : other.time_s > one.time_s ? other : one;
const latestOf = (all) => all.reduce((found, one) => one.time_s > found.time_s ? one : found);
const earliestOf = (all) => all.reduce((found, one) => one.time_s < found.time_s ? one : found);
// Return a record's time in Unix milliseconds, or null if it is no date of the calendar.
function claimedMs(time) {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) || at.toISOString() !== time || at.getUTCFullYear() < 1 ? null : at.getTime();
}
// Compare the times that records claim with those that other parties signed.
// Records of a stream that no outside party had seen soon.
class SeenLate {
  constructor() { Object.assign(this, { all: [], run: null, leftOut: 0 }); }
  take(index, claimed, after) {
    const after_s = after ? after.time_s - Math.floor(claimed / 1000) : 0;
    if (after_s <= LATE_S) return this.close();
    this.run = { first: this.run ? this.run.first : index, last: index, after_s: Math.max(after_s, this.run ? this.run.after_s : 0) };
  }
  close() {
    if (this.run && this.all.length < MAX_SEEN_LATE) this.all.push(this.run);
    else if (this.run) this.leftOut++;
    this.run = null;
  }
  end() { this.close(); return this.all; }
}
class PlausibleTimes {
  constructor(believed) {
    this.ofHash = new Map();
    const found = [], hash = (bytes) => "sha256:" + hex(sha256(bytes));
    for (const { source, attestations, stamp, token } of believed) {
      const signers = attestations.filter((one) => one.time_s < LAST_S);
      if (signers.length) this.ofHash.set(hash(utf8(source)), latestOf(signers));
      found.push(...signers);
      if (!stamp) continue;
      this.ofHash.set(hash(token.data), stamp);
      found.push(stamp);
    }
    // From each one on, the earliest of it and of all that cover more.
    found.sort((a, b) => a.size - b.size);
    this.earliest = [];
    for (let at = found.length - 1; at >= 0; at--) {
      const one = found[at], before = this.earliest.at(-1);
      this.earliest.push({ size: one.size, limit: before && !(one.time_s < before.limit.time_s) ? before.limit : one });
    }
    this.earliest.reverse();
    this.claims = new Map(believed.map(({ checkpoint }) => [checkpoint.size, null]));
    Object.assign(this, { newest: null, last: null, run: null, found: null, all: [], late: new SeenLate() });
  }
  // Return the first time at which somebody held a record.
  after(index) {
    let low = 0, high = this.earliest.length;
    while (low < high) {
      const middle = low + high >> 1;
      if (this.earliest[middle].size > index) high = middle; else low = middle + 1;
    }
    return low < this.earliest.length ? { time_s: this.earliest[low].limit.time_s, who: whose(this.earliest[low].limit) } : null;
  }
  cited({ kind, changes, actor }) {
    if (!CITING.has(kind)) return null;
    const fields = Object.fromEntries(changes.map((change) => [change.field, change.after]));
    const known = ["receipt", "checkpoint", "proof"].map((name) => this.ofHash.get(String(fields[name]))).filter((one) => one !== undefined);
    if (known.length) return { time_s: latestOf(known).time_s, who: whose(latestOf(known)) };
    const noted = TIME(fields.cosigned_at) ? claimedMs(fields.cosigned_at) : null;
    return noted === null ? null : { time_s: Math.floor(noted / 1000), who: actor.id + ", as the gateway noted" };
  }
  take(index, value) {
    const { boot_id, boottime_us, bound_us } = value.clock, claimed = claimedMs(value.ingested_at);
    if (claimed === null) return;
    const setting = claimed - Math.floor(boottime_us / 1000), run = this.run;
    if (!run || run.boot_id !== boot_id || Math.abs(setting - run.setting) > SAME_SETTING_MS) this.run = { first: index, boot_id, agreed: false };
    this.run.setting = setting;
    const citing = CITING.has(value.kind), bound = bound_us === undefined ? -1 : Math.ceil(bound_us / 1000);
    // A record is stored after what it cites was signed, and so is all that follows.
    this.newest = later(this.newest, this.cited(value));
    const after = this.after(index), found = this.compared(index, claimed, bound, after);
    this.late.take(index, claimed, after);
    if (found || this.found) this.note(found);
    else if (citing) this.run.agreed = true;
    if (this.claims.has(index + 1)) this.claims.set(index + 1, claimed);
    this.last = claimed;
  }
  compared(index, claimed, bound, after) {
    const credited = Math.min(Math.max(bound, 0), MAX_BOUND_MS), before = this.newest;
    const early = before && before.time_s * 1000 - claimed - credited, late = after && claimed - credited - (after.time_s + 1) * 1000;
    if (before && early > MARGIN_MS) return { side: "earlier", first: index, last: index, excess: early, who: before.who, bound };
    if (after && late > MARGIN_MS) return { side: "later", first: index, last: index, excess: late, who: after.who, bound };
    return null;
  }
  // Add to the run of contradictions, which makes one remark, or end it.
  note(found) {
    if (this.found && (!found || found.side !== this.found.side)) {
      this.all.push(this.remark(this.found));
      this.found = null;
    }
    if (!found) return;
    if (!this.found) {
      // Everything that the same clock has stamped before is as much too early.
      if (found.side === "earlier" && !this.run.agreed) found.first = this.run.first;
      this.run.agreed = true;
      this.found = found;
      return;
    }
    this.found.last = found.last;
    if (found.excess > this.found.excess) Object.assign(this.found, { excess: found.excess, who: found.who, bound: found.bound });
  }
  remark({ side, first, last, excess, who, bound }) {
    const claim = last > first ? "records " + first + " to " + last + " claim" : "it claims";
    const stated = bound < 0 ? "and the gateway states no bound for its own"
      : "beyond the " + (bound > MAX_BOUND_MS ? "hour that counts of the bound which" : "bound that") + " the gateway states for its own";
    return { index: first, text: claim + " to have been written up to " + span(Math.floor(excess / 1000)) + " " + side + " than possible by the clock of " + who + ", " + stated };
  }
  remarks() { this.note(null); return this.all.slice(0, MAX_REMARKS); }
  // Say if nobody signed in time for the last of the records that the quorum covers.
  longAfter(attested) {
    const claimed = this.claims.get(attested) ?? null, limit = attested ? this.after(attested - 1) : null;
    const waited = limit && claimed !== null ? limit.time_s - Math.floor(claimed / 1000) : 0;
    return waited > LONG_AFTER_S ? [{ index: attested - 1, text: "nobody outside has signed for it until " + span(waited) + " after the time that it claims: first " + limit.who }] : [];
  }
}
// Return what is compared of a record, without the rest of it.
const timesOf = (index, { clock, ingested_at, kind, changes, actor }) => [index, { clock, ingested_at, kind, changes: CITING.has(kind) ? changes : [], actor }];
// Say which signatures bear a time that cannot be: of no calendar, or against another of the same key.
function unlikelyTimes(believed) {
  const found = [], keys = new Map();
  for (const { name, attestations } of believed) {
    for (const one of attestations) {
      const key = JSON.stringify([one.party, one.name]);
      if (!keys.has(key)) keys.set(key, []);
      if (one.time_s < LAST_S) keys.get(key).push(one);
      else found.push({ index: null, text: name + ": " + one.name + " signed at a time that is no date" });
    }
  }
  for (const signed of keys.values()) {
    let excess = MARGIN_MS / 1000, worst = null, latest = null;
    signed.sort((a, b) => a.size - b.size);
    for (let at = 0, end = 0; at < signed.length; at = end) {
      while (end < signed.length && signed[end].size === signed[at].size) end++;
      const group = signed.slice(at, end), earliest = earliestOf(group);
      if (latest && latest.time_s - earliest.time_s > excess) [excess, worst] = [latest.time_s - earliest.time_s, [earliest, latest]];
      latest = latestOf([...latest ? [latest] : [], ...group]);
    }
    if (!worst) continue;
    const [more, fewer] = worst;
    found.push({ index: null, text: more.name + " signed " + more.size + " records " + span(fewer.time_s - more.time_s) + " before it signed " + fewer.size + " of them: one of these times is not true" });
  }
  return found;
}
// Return when the attested records were last attested by as many parties as the quorum asks for, and what a store held then.
function ageOf(believed, attested, quorum, last) {
  const newest = new Map();
  let held = null;
  for (const one of believed.flatMap((each) => each.attestations)) {
    if (!(one.time_s < LAST_S)) continue;
    if (attested && one.size >= attested) newest.set(one.party, Math.max(newest.get(one.party) ?? one.time_s, one.time_s));
    const newer = held === null || one.time_s > held.time_s || (one.time_s === held.time_s && one.size > held.size);
    if (one.role === "store" && newer) held = { party: one.party, name: one.name, size: one.size, time_s: one.time_s };
  }
  const attested_s = [...newest.values()].sort((a, b) => b - a)[quorum - 1] ?? null;
  const after_s = attested_s === null || last === null ? null : attested_s - Math.floor(last / 1000);
  const beside = after_s === null ? "" : ", " + span(Math.abs(after_s)) + " " + (after_s < 0 ? "before" : "after") + " the last record";
  const text = attested_s === null ? "nothing is attested, so that nothing shows what is missing at the end" : "the newest attestation is of " + dated(attested_s) + beside;
  const stated = held === null ? "; no store states here how many records it held" : "; " + held.name + " held " + held.size + " records at " + dated(held.time_s);
  return { attested_s, last_record_ms: last, held, after_s, text: text + stated };
}
// Return an age in words, with how long before the check, or before the time that was asked for, the attestation came.
function agedText({ text, before_s }, as_of_s) {
  if ((before_s ?? null) === null) return text;
  return text + "; the attestation came " + span(Math.abs(before_s)) + " " + (before_s < 0 ? "after" : "before") + " " + (as_of_s === null ? "the check" : dated(as_of_s));
}
// Return the verdict with what it lacks of what was asked for: so many records, attested so lately. All times are Unix seconds.
function demanded(verdict, policy, { now_s, at_least = null, as_of_s = null }) {
  const { age, attested } = verdict, unmet = [];
  if (verdict.status === "BROKEN" || !age) return verdict;
  const reference = as_of_s ?? now_s, least = Math.max(0, reference - (policy.max_age_s ?? 0)), known = age.attested_s !== null;
  if (at_least !== null && attested < at_least) unmet.push(attested + " records are attested, and at least " + at_least + " were asked for");
  if ((as_of_s !== null || policy.max_age_s !== undefined) && !(known && age.attested_s >= least)) {
    unmet.push("the newest attestation " + (known ? "is of " + dated(age.attested_s) : "is missing") + ", and one of " + dated(least) + " or later was asked for");
  }
  const ahead = known ? age.attested_s - now_s : 0, before_s = known ? reference - age.attested_s : null;
  const remarks = ahead > MARGIN_MS / 1000 ? [{ index: null, text: "the newest attestation is of a time " + span(ahead) + " after this check" }] : [];
  const text = unmet.length ? "OUTDATED: " + unmet.join("; ") + "; " + verdict.text : verdict.text;
  return { ...verdict, status: unmet.length ? "OUTDATED" : verdict.status, text, unmet, remarks: [...remarks, ...verdict.remarks], age: { ...age, as_of_s: reference, before_s } };
}

// --- event ids that were there before: 16 bytes each, found through a table of places ----------------------------------------------

const ULID_DIGITS = new Int8Array(128).fill(-1);
[..."0123456789ABCDEFGHJKMNPQRSTVWXYZ"].forEach((digit, value) => { ULID_DIGITS[digit.charCodeAt(0)] = value; });
class EventIds {
  constructor() {
    this.count = 0;
    this.words = new Uint32Array(1 << 12);
    this.table = new Int32Array(1 << 12);
    this.seed = crypto.getRandomValues(new Uint32Array(1))[0];
  }
  // Take the id of the next record; return the record that had it before, or null.
  take(id) {
    const at = 4 * this.count;
    if (at === this.words.length) this.words = this.grown(this.words);
    // The first digit holds three bits, so that 26 of them fill four words.
    for (let word = 0, digit = 0, bits = 0, value = 0; word < 4; digit++) {
      const five = ULID_DIGITS[id.charCodeAt(digit)], width = digit ? 5 : 3, over = Math.max(0, bits + width - 32);
      value = (value << width - over | five >>> over) >>> 0;
      bits += width;
      if (bits >= 32) {
        this.words[at + word++] = value;
        bits = over;
        value = five & (1 << over) - 1;
      }
    }
    const found = this.place(at);
    if (this.table[found]) return this.table[found] - 1;
    this.table[found] = ++this.count;
    if (2 * this.count > this.table.length) this.enlarge();
    return null;
  }
  // Return where in the table an id stands, or where it belongs.
  place(at) {
    const { words, table } = this;
    let hash = this.seed;
    for (let word = 0; word < 4; word++) {
      hash = Math.imul(hash ^ words[at + word], 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    for (let place = hash & table.length - 1; ; place = place + 1 & table.length - 1) {
      const other = 4 * (table[place] - 1);
      if (other < 0 || [0, 1, 2, 3].every((word) => words[at + word] === words[other + word])) return place;
    }
  }
  grown(old) { const larger = new Uint32Array(2 * old.length); larger.set(old); return larger; }
  enlarge() {
    this.table = new Int32Array(2 * this.table.length);
    for (let index = 0; index < this.count; index++) this.table[this.place(4 * index)] = index + 1;
  }
}

// --- stretches without capture (specification, 12.7) ---------------------------------------------------------------------------

const MAX_STRETCHES = 1000, MAX_FOLLOWED = 10000, GATEWAY = "gateway", SILENCE_US = 180e6, BESIDE = new Set(["key.rotated", "clock.stepped"]);
const isTime = (value) => TIME(value);
const namedValue = (value) => isText(value) ? value : "an unknown one";
function afterOf(value, field) {
  const found = value.changes.filter((change) => change.field === field).at(-1);
  return found === undefined ? null : found.after;
}
function unixMs(time) {
  const at = new Date(time);
  return isTime(time) && !Number.isNaN(at.getTime()) && at.toISOString() === time && at.getUTCFullYear() > 0 ? at.getTime() : null;
}
function earlier(time, awayMs) {
  const at = unixMs(time), since = at === null ? -1 : at - awayMs;
  return since >= 0 ? new Date(since).toISOString() : null;
}
class Stretches {
  constructor() {
    Object.assign(this, { found: [], leftOut: 0, counts: { true: 0, false: 0 }, last: null, alive: null, beside: 0, off: null, full: null });
    Object.assign(this, { up: new Set(), away: new Map(), gaps: new Map(), unset: new Map() });
  }
  follow(value) {
    this.silence(value);
    this.tell(value);
    if (BESIDE.has(value.kind)) this.beside++;
    else [this.alive, this.beside] = [value, 0];
    this.last = value;
  }
  end() {
    for (const begun of [this.off, this.full]) if (begun) this.add(GATEWAY, begun, null);
    for (const opened of [this.away, this.gaps, this.unset]) for (const [subject, begun] of opened) this.add(subject, begun, null);
    return this.found;
  }
  // Remember that a stretch has begun; where too many are open, it has no end here.
  open(opened, subject, begun) {
    if (opened.has(subject) || opened.size < MAX_FOLLOWED) opened.set(subject, begun);
    else this.add(subject, begun, null);
  }
  add(subject, begun, value, until = null) {
    const own = subject === GATEWAY;
    if (++this.counts[own] > MAX_STRETCHES) { this.leftOut++; return; }
    const { since, first, why } = begun;
    this.found.push({ subject, since, until: until || value === null ? until : value.occurred_at, why, first, last: value === null ? null : value.sequence_no });
  }
  began(value, why) { return { since: value.occurred_at, first: value.sequence_no, why }; }
  silence(value) {
    const last = this.last;
    if (last === null || this.off || STARTING.has(value.kind) || value.clock.boot_id !== last.clock.boot_id) return;
    if (value.sequence_no === last.sequence_no + 1 && value.clock.boottime_us - last.clock.boottime_us > SILENCE_US) {
      this.add(GATEWAY, { since: last.ingested_at, first: last.sequence_no, why: "nothing was recorded, not even a heartbeat" }, value, value.ingested_at);
    }
  }
  tell(value) {
    if (value.kind === "stream.created") this.off = this.began(value, "the stream was created, and the gateway had not been started");
    else if (value.kind === "gateway.started") this.started(value);
    else if (value.kind === "gateway.stopped") this.off ||= this.began(value, "the gateway was off: " + value.reason);
    else if (value.kind === "device.lost") this.lost(value);
    else if (value.kind === "device.back") this.back(value);
    else if (value.kind === "source.gap") this.gap(value);
    else if (value.kind === "config.applied") this.applied(value);
    else if (value.kind === "journal.pressure") this.pressure(value);
    else if (value.kind === "clock.stepped") this.stepped(value);
  }
  started(value) {
    this.add(GATEWAY, this.off || this.crashed(value), value);
    if (this.full) this.add(GATEWAY, this.full, value);
    this.off = this.full = null;
    for (const device of this.up) this.open(this.away, device, this.began(value, "not connected yet after the start of the gateway"));
    this.up.clear();
  }
  // Return what is known where no stop is on record: the last record before.
  crashed(value) {
    const last = this.alive;
    if (last === null) return { since: null, first: null, why: "the gateway was off: what came before is not in this evidence" };
    const apart = value.sequence_no - last.sequence_no - 1 > this.beside;
    const why = (apart ? "the gateway was off: its stop and the last records before it are not in this evidence"
      : "no stop is on record: the gateway crashed, was killed, or lost its power") + (value.clock.boot_id === last.clock.boot_id ? "" : "; the machine was started again");
    return { since: last.ingested_at, first: last.sequence_no, why };
  }
  lost(value) {
    const device = value.context.device_id || "", { since, first } = this.away.get(device) || this.began(value, "");
    this.open(this.away, device, { since, first, why: "not connected: " + value.reason });
    this.up.delete(device);
  }
  back(value) {
    const device = value.context.device_id || "", awayMs = afterOf(value, "away_ms");
    let begun = this.away.get(device);
    this.away.delete(device);
    if (!begun && isWhole(awayMs) && awayMs > 0) begun = { since: earlier(value.occurred_at, awayMs), first: null, why: "not connected" };
    if (begun) this.add(device, begun, value);
    if (this.up.size < MAX_FOLLOWED) this.up.add(device);
  }
  // A gap is between two times, between two numbers, or from one on without a stated end.
  gap(value) {
    const subject = (value.context.device_id || "") + "/" + value.resource.id, begun = this.gaps.get(subject);
    this.gaps.delete(subject);
    if (begun) this.add(subject, begun, value);
    const [first, last, count] = ["first", "last", "count"].map((field) => afterOf(value, field)), since = isTime(first) ? first : null;
    let why = "source.gap: " + value.reason;
    if (last === null || (since && first === last && count === null)) {
      this.open(this.gaps, subject, { since: since || value.occurred_at, first: value.sequence_no, why });
      return;
    }
    if (!since) why += " (" + (first === null ? "the beginning" : namedValue(first)) + " to " + namedValue(last) + ")";
    if (isWhole(count)) why += " (" + count + " of them)";
    this.add(subject, { since, first: value.sequence_no, why }, value, isTime(last) ? last : value.occurred_at);
  }
  // Settings name devices and points no more, or record them no more, or again.
  applied(value) {
    const devices = value.changes.map((change) => /^devices\.([^.]+)\.id$/.exec(change.field));
    const gone = new Set(value.changes.map((change, at) => devices[at] && change.after === null ? devices[at][1] : null).filter((one) => one !== null));
    const recorded = (one) => isText(one) && one !== "telemetry";
    value.changes.forEach((change, at) => {
      const point = /^devices\.([^.]+)\.(.+)\.record$/s.exec(change.field);
      if (devices[at]) this.set(devices[at][1], value, change.after !== null);
      else if (point && !gone.has(point[1]) && recorded(change.before) !== recorded(change.after)) this.set(point[1] + "." + point[2], value, recorded(change.after));
    });
    for (const device of gone) {
      this.up.delete(device);
      const begun = this.away.get(device);
      this.away.delete(device);
      if (begun) this.add(device, begun, value);
    }
  }
  set(subject, value, named) {
    const begun = this.unset.get(subject);
    this.unset.delete(subject);
    if (named && begun) this.add(subject, begun, value);
    else if (!named) this.open(this.unset, subject, begun || this.began(value, "the configuration does not record it"));
  }
  pressure(value) {
    if (afterOf(value, "level") === "full") this.full ||= this.began(value, value.reason);
    else if (this.full) {
      this.add(GATEWAY, this.full, value);
      this.full = null;
    }
  }
  stepped(value) {
    const step = value.changes.find((change) => change.field === "time");
    if (!step || !isTime(step.before) || !isTime(step.after)) return;
    const [since, until] = [step.before, step.after].sort();
    const why = "the clock was set: " + (step.before < step.after ? "no record bears these times" : "records bear these times twice");
    this.add("clock", { since, first: value.sequence_no, why }, value, until);
  }
}

// --- what the records are about, and what is missing (specification, 12.3 and 12.4) --------------------------------------------

const MAX_UNITS = 1000, MAX_LISTED = 1000;
function unitOf(value) {
  const { type, id } = value.resource.parent || value.resource;
  return type === "unit" ? id : null;
}
class Summary {
  constructor() { Object.assign(this, { records: 0, first: 0, last: 0, earliest: "", latest: "", kinds: new Map(), units: new Map(), otherUnits: 0, listed: [] }); }
  take(value) {
    const occurred = value.occurred_at, unit = unitOf(value);
    if (this.records++ === 0) Object.assign(this, { first: value.sequence_no, earliest: occurred, latest: occurred });
    this.last = value.sequence_no;
    if (occurred < this.earliest) this.earliest = occurred;
    if (occurred > this.latest) this.latest = occurred;
    this.kinds.set(value.kind, (this.kinds.get(value.kind) || 0) + 1);
    if (unit !== null && (this.units.has(unit) || this.units.size < MAX_UNITS)) this.units.set(unit, (this.units.get(unit) || 0) + 1);
    else if (unit !== null) this.otherUnits++;
    if (this.listed.length < MAX_LISTED) this.listed.push(value);
  }
  json() {
    const { records, first, last, earliest, latest } = this;
    return {
      records, first, last, earliest, latest, kinds: [...this.kinds.keys()].sort().map((kind) => ({ kind, records: this.kinds.get(kind) })),
      units: [...this.units].map(([unit, count]) => ({ unit, records: count })), other_units: this.otherUnits,
    };
  }
}
class History {
  constructor() { Object.assign(this, { said: [], last: null, sessions: new Map(), tallies: new Map(), units: new Set(), open: new Map() }); }
  follow(value) {
    this.continues(value);
    this.connected(value);
    this.counted(value);
    if (!["key.rotated", "stream.continuity"].includes(value.kind)) this.last = value;
  }
  remarks() {
    const units = [...new Set([...this.open.values()])];
    if (units.length) {
      this.say(null, units.length + " of the " + this.units.size + " units have no unit.left after their last result here, so that nothing states how many results they had: " +
        units.slice(0, 10).join(", ") + (units.length > 10 ? ", …" : ""));
    }
    return this.said;
  }
  say(index, line) { if (this.said.length < MAX_REMARKS) this.said.push({ index, text: line }); }
  continues(value) {
    const last = this.last, missing = (what, kind) => this.say(value.sequence_no, what + " since record " + last.sequence_no + ", and the " + kind + " that says so is missing here");
    if (last === null || ["gateway.started", "key.rotated", "stream.continuity"].includes(value.kind)) return;
    if (value.clock.boot_id !== last.clock.boot_id) missing("the machine was started again", "gateway.started");
    else if (value.clock.step < last.clock.step) missing("the gateway was started again", "gateway.started");
    else if (value.clock.step > last.clock.step && value.kind !== "clock.stepped") missing("the clock was set", "clock.stepped");
  }
  connected(value) {
    const { device_id: device, session_id: session } = value.context;
    if (!device || !session) return;
    const before = this.sessions.get(device);
    this.sessions.set(device, session);
    if (before !== undefined && before !== session && value.kind !== "device.back") {
      this.say(value.sequence_no, device + " was connected anew before it, and the device.back that says so is missing here");
    }
  }
  counted(value) {
    const unit = unitOf(value), key = JSON.stringify([unit, value.context.station_id || ""]);
    if (unit === null) return;
    if (["tightening.result", "measurement.result"].includes(value.kind)) this.add(unit, key, value);
    else if (value.kind === "unit.entered") this.await(unit, key);
    else if (value.kind === "unit.left") this.left(unit, key, value);
  }
  await(unit, key) {
    this.units.add(unit);
    this.open.set(key, unit);
  }
  add(unit, key, value) {
    this.await(unit, key);
    if (afterOf(value, "counts") === false && afterOf(value, "decoded") !== false) return;
    const tally = this.tallies.get(key) || { ok: 0, other: 0 };
    tally[afterOf(value, "result") === "ok" ? "ok" : "other"]++;
    this.tallies.set(key, tally);
  }
  left(unit, key, value) {
    const here = this.tallies.get(key) || { ok: 0, other: 0 }, [ok, other] = ["results_ok", "results_not_ok"].map((field) => afterOf(value, field));
    this.units.add(unit);
    this.open.delete(key);
    this.tallies.delete(key);
    if (isWhole(ok) && isWhole(other) && (here.ok < ok || here.other < other)) {
      this.say(value.sequence_no, "the unit " + unit + " left with " + ok + " good results and " + other + " others, and here are " + here.ok + " and " + here.other + " of them: some are missing");
    }
  }
}

// --- whole streams and selections ----------------------------------------------------------------------------------------------

const named = (attestations) => attestations.map((one) => one.party + " (" + one.role + " " + one.name + ")").join(", ");
const timed = (stamps) => stamps.map((one) =>
  "; " + one.size + " records time-stamped by " + one.name + " at " + new Date(one.time_s * 1000).toISOString().slice(0, 19) + "Z").join("");
const signersOf = ({ checkpoint, attestations, stamp }) =>
  [checkpoint.origin, ...attestations.map((one) => one.name)].join(" and ") + (stamp ? ", time-stamped by " + stamp.name : "");
// Return the statements that the right keys signed, and a remark about each of the others and each stamp that does not count.
async function believeAll(statements, policy) {
  const believed = [], unbelieved = [], unstamped = [], say = (all, line) => all.push({ index: null, text: line });
  for (const { name, source, token } of statements) {
    let one;
    try { one = await believe(source, name, policy); } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      say(unbelieved, name + " does not count: " + error.message);
      continue;
    }
    believed.push({ ...one, source, token, stamp: null });
    const none = "time stamps do not count: no policy names tsa_roots";
    if (token && policy.tsa_roots.length) {
      try {
        const { name: authority, root, time_s } = await openStamp(token.data, utf8(source), policy.tsa_roots), { size } = one.checkpoint;
        believed.at(-1).stamp = { party: root, role: TIME_STAMP, name: authority, size, root: one.checkpoint.root, time_s };
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        say(unstamped, token.name + " does not count: " + error.message);
      }
    } else if (token && unstamped.at(-1)?.text !== none) say(unstamped, none);
  }
  return { believed, remarks: [...unbelieved, ...unstamped] };
}
async function verifyStream(members, policy, progress) {
  const roots = new Map([[0, hex(sha256(new Uint8Array()))]]), { believed, remarks } = await believeAll(await statementsOf(members), policy);
  const wanted = new Set(believed.map((one) => one.checkpoint.size));
  const chain = new Chain(policy), clock = new Clock(), tree = new Tree(), ids = new EventIds(), keys = new Set(), times = new PlausibleTimes(believed);
  const summary = new Summary(), stretches = new Stretches();
  let broken = null;
  try {
    for await (const line of linesOf(members, "records.ndjson")) {
      const index = chain.size, { value, signer } = await chain.accept(line);
      clock.accept(index, value);
      times.take(index, value);
      const before = ids.take(value.event_id);
      if (before !== null) throw new Broken(index, "its event_id is that of record " + before);
      checkRevoked(index, signer, policy);
      if (index === 0) keys.add(signer.public);
      else if (value.kind === "key.rotated") {
        if (keys.has(chain.key.public)) throw new Broken(index, "it brings back the event key " + chain.key.id + ", which was retired before");
        keys.add(chain.key.public);
      }
      tree.append(leafHash(line));
      summary.take(value);
      stretches.follow(value);
      if (wanted.has(tree.size)) roots.set(tree.size, tree.root());
      if (tree.size % 500 === 0) await progress(tree.size);
    }
    if (tree.size === 0) throw new Broken(0, "there are no records");
    chain.requireSignature();
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    broken = error;
  }
  const contradiction = compareRoots(believed, tree.size, roots);
  if (contradiction && (!broken || contradiction.index < broken.index)) broken = contradiction;
  const size = broken ? Math.min(tree.size, broken.index) : tree.size;
  const held = believed.filter(({ checkpoint }) => checkpoint.size <= size && roots.get(checkpoint.size) === checkpoint.root);
  const { attested, attestations } = quorumOf(held, policy), complete = "COMPLETE to " + attested + ", attested by " + named(attestations);
  const stamps = newestStamps(held), unlikely = [...times.remarks(), ...unlikelyTimes(believed), ...times.longAfter(attested)];
  const status = broken ? "BROKEN" : attested === size ? "COMPLETE" : "INTACT";
  const pending = "INTACT, last " + (size - attested) + " records not yet attested" + (attested ? "; " + complete : "");
  return {
    status, size, attested, attestations: [...attestations, ...stamps], selected: null, root: broken ? null : tree.root(),
    ...found(broken, summary, stretches), seen_late: broken ? [] : times.late.end(), seen_late_left_out: broken ? 0 : times.late.leftOut,
    broken_at: broken && broken.index, reason: broken && broken.message, remarks: [...unlikely, ...clock.remarks, ...remarks].slice(0, MAX_REMARKS),
    age: broken ? null : ageOf(held, attested, policy.quorum, times.last), unmet: [],
    text: broken ? "BROKEN at record " + broken.index + ": " + broken.message : (status === "COMPLETE" ? complete : pending) + timed(stamps),
  };
}
const found = (broken, summary, stretches) => ({
  contents: broken ? null : summary.json(), listed: broken ? [] : summary.listed,
  without_capture: broken ? [] : stretches.end(), without_capture_left_out: broken ? 0 : stretches.leftOut,
});
function compareRoots(believed, size, roots) {
  const held = [0];
  for (const one of [...believed].sort((a, b) => a.checkpoint.size - b.checkpoint.size)) {
    const { name, checkpoint } = one, signers = signersOf(one);
    if (checkpoint.size > size) return new Broken(size, "it and what follows is missing: " + name + ", signed by " + signers + ", is about " + checkpoint.size + " records, here are " + size);
    if (roots.get(checkpoint.size) !== checkpoint.root) {
      return new Broken(Math.max(...held.filter((each) => each < checkpoint.size)), "from here up to record " + (checkpoint.size - 1) +
        " there are other records than those that " + name + " is about, signed by " + signers);
    }
    held.push(checkpoint.size);
  }
  return null;
}
function parseProof(source) {
  const at = source.indexOf("\n\n"), lines = source.slice(0, Math.max(at, 0)).split("\n");
  if (at < 0 || lines[0] !== "c2sp.org/tlog-proof@v1") throw new Malformed("not a proof: its first line is not c2sp.org/tlog-proof@v1");
  if ((lines[1] || "").startsWith("extra ")) lines.splice(1, 1);
  const [, index] = /^index (0|[1-9][0-9]{0,15})$/.exec(lines[1] || "") || [];
  if (index === undefined) throw new Malformed("a proof's second line is the index of its record");
  const path = lines.slice(2).map((line) => unbase64(line, "a hash of the proof"));
  if (path.some((step) => step.length !== 32)) throw new Malformed("a hash of the proof is not 32 bytes");
  return { index: Number(index), path, note: source.slice(at + 2) };
}
// Weigh the statements about a selection: which time stamps count for the history of its proofs, or who signed another one.
function weighStatements(believed, shared, remarks) {
  const held = [];
  for (const one of believed) {
    const { name, checkpoint, token, stamp } = one;
    if (checkpoint.size === shared.size && checkpoint.root !== shared.root) {
      return { stamps: [], held: [], fork: new Broken(0, "among the " + shared.size + " records there are others than those that " + name + " is about, signed by " + signersOf(one)) };
    }
    if (!stamp) continue;
    const why = historyGap(checkpoint, shared, token.consistency);
    if (why === null) held.push(one);
    else remarks.push({ index: null, text: token.name + " does not count: that its checkpoint is of this history is not shown (" + why + ")" });
  }
  return { stamps: newestStamps(held), held, fork: null };
}
function historyGap(one, shared, consistency) {
  if (one.size === shared.size) return null;
  if (consistency === null) return "there is no consistency proof";
  const [old, now] = one.size < shared.size ? [one, shared] : [shared, one];
  try {
    const lines = consistency.split("\n"), path = lines.slice(0, -1).map((line) => unbase64(line, "a hash of the proof"));
    const whole = lines.at(-1) === "" && path.every((step) => step.length === 32);
    if (whole && provesConsistency(old.size, old.root, now.size, now.root, path)) return null;
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
  }
  return "the consistency proof is not one";
}
async function verifySelection(members, policy, progress) {
  const statements = await statementsOf(members);
  // A record that is wrong in itself is named before one whose proof is wrong: an altered record spoils the proofs of others.
  let shared = null, count = 0, unsigned = 0, proofs = 0, misplaced = 0, unproven = null, broken = null;
  const prove = async (index, line) => {
    const name = "proofs/" + index + ".tlog-proof";
    proofs++;
    try {
      if (!members.has(name)) throw new Malformed("the selection holds no proof of it");
      if (index > 0 && !shared) return;
      const proof = parseProof(await smallFile(members, name));
      if (proof.index !== index) throw new Malformed("its proof is of record " + proof.index);
      shared ??= { note: proof.note, source: proof.note, ...await believe(proof.note, "the proofs' checkpoint", policy) };
      if (proof.note !== shared.note) throw new Malformed("its proof is of another checkpoint than the proofs before");
      const { size, root } = shared.checkpoint;
      if (!provesInclusion(leafHash(line), index, size, root, proof.path)) {
        misplaced++;
        throw new Malformed("the inclusion proof of leaf " + index + " does not lead to the root");
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      unproven ??= new Broken(index, error.message);
    }
  };
  const chain = new Chain(policy), keys = [], doubts = [], selected = [], summary = new Summary(), stretches = new Stretches(), history = new History();
  // A record without a signature may have got the one that vouches for it after its key was revoked.
  const doubt = ({ index, value, signer }) => {
    if (isSigned(value)) return;
    unsigned++;
    for (const one of policy.revocations.filter((each) => each.vkey.public === signer.public && each.first - index < LONGEST_RUN)) {
      doubts.push({ index, text: "it bears no signature of its own, and its event key is revoked from record " + one.first + " on: whether the signature that vouches for it came before is not shown" });
    }
  };
  const keyAt = (index) => keys.filter((one) => one.first <= index).at(-1).key;
  const accept = async (line, before) => {
    const least = before ? before.index + 1 : 0;
    let value;
    try { value = parseRecord(line); } catch (error) {
      if (error instanceof Malformed) throw new Broken(least, error.message);
      throw error;
    }
    const index = value.sequence_no;
    if (index < least) throw new Broken(index, "the selection is not in the order of the stream");
    if (before && index === least && value.integrity.prev_hash !== before.hash) throw new Broken(index, "its prev_hash is not the hash of the record before");
    const one = new Chain(policy);
    if (index > 0) Object.assign(one, { size: index, last: value.integrity.prev_hash, tenant: chain.tenant, key: keyAt(index), log: chain.log });
    const { signer } = await one.accept(line);
    return { index, value, signer, next: one.key, hash: one.last };
  };
  try {
    let last = null;
    for await (const line of linesOf(members, "keys.ndjson")) {
      if (last === null) {
        await chain.accept(line);
        keys.push({ first: 0, key: chain.key });
        last = { index: 0, hash: chain.last };
      } else {
        last = await accept(line, last);
        const { index, value, next } = last;
        if (value.kind !== "key.rotated") throw new Broken(index, "it is among the key records and rotates no key");
        if (keys.some((one) => one.key.public === next.public)) throw new Broken(index, "it brings back the event key " + next.id + ", which was retired before");
        keys.push({ first: index + 1, key: next });
      }
      await prove(last.index, line);
    }
    if (!keys.length) throw new Broken(0, "the selection does not hold record 0, which announces the keys");
    last = null;
    for await (const line of linesOf(members, "records.ndjson")) {
      last = await accept(line, last);
      checkRevoked(last.index, last.signer, policy);
      doubt(last);
      selected.push(timesOf(last.index, last.value));
      summary.take(last.value);
      stretches.follow(last.value);
      history.follow(last.value);
      await prove(last.index, line);
      if (++count % 100 === 0) await progress(count);
    }
    if (!count) throw new Broken(0, "there are no records in the selection");
    broken = unproven;
    if (unproven && shared && misplaced === proofs && proofs > 1) {
      broken = new Broken(unproven.index, unproven.message + ", and neither does any other proof: somewhere from record 0 to record " +
        (shared.checkpoint.size - 1) + " there is another record than the one that was attested");
    }
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    broken = error;
  }
  let stamps = [], remarks = [], age = null;
  if (!broken) {
    const weighed = await believeAll(statements, policy), { stamps: counting, held, fork } = weighStatements(weighed.believed, shared.checkpoint, weighed.remarks);
    const times = new PlausibleTimes([shared, ...held]), everything = [shared, ...weighed.believed];
    for (const [index, value] of selected) times.take(index, value);
    const unlikely = fork ? [] : [...times.remarks(), ...unlikelyTimes(everything)];
    age = fork ? null : ageOf(everything, quorumOf([shared], policy).attested, policy.quorum, times.last);
    const own = unsigned ? [{ index: null, text: unsigned + " of the " + count + " selected records bear no signature of their own: the signed checkpoint vouches for them, through their proofs" }] : [];
    [stamps, remarks, broken] = [counting, [...unlikely, ...(fork ? [] : [...own, ...doubts.slice(0, MAX_REMARKS), ...history.remarks()]), ...weighed.remarks], fork];
  }
  const { attested, attestations } = quorumOf(shared && !broken ? [shared] : [], policy), size = shared ? shared.checkpoint.size : 0;
  const good = attested ? "INCLUDED: " + count + " selected records are unaltered and among the " + attested + " attested by " + named(attestations) + "; other records were not verified"
    : "INTACT, " + count + " selected records; the " + size + " they are among are not yet attested";
  return {
    status: broken ? "BROKEN" : attested ? "INCLUDED" : "INTACT", size, attested, attestations: [...attestations, ...stamps], selected: count, root: broken ? null : shared.checkpoint.root,
    ...found(broken, summary, stretches), seen_late: [], seen_late_left_out: 0,
    broken_at: broken && broken.index, reason: broken && broken.message, remarks, age, unmet: [],
    text: broken ? "BROKEN at record " + broken.index + ": " + broken.message : good + timed(stamps),
  };
}

// --- the devices' own bytes (specification, 2.3 and 11.3.2) ----------------------------------------------------------------------

const RAW_LINE = /^\{"bytes":"([A-Za-z0-9+/]*={0,2})"(?:,"salt":"([0-9a-f]{32})")?,"sequence_no":(0|[1-9][0-9]{0,14})\}$/;
// Messages of the Open Protocol that records are made of.
const MIDS = new Map(Object.entries({
  "0013": "parameter set data", "0015": "parameter set selected", "0035": "job info", "0041": "tool data", "0052": "vehicle id number",
  "0061": "last tightening result", "0065": "old tightening result", "0071": "alarm", "0074": "alarm acknowledged on the controller",
  "0076": "alarm status", "0081": "time", "0101": "result of several spindles", "0152": "multiple identifiers", "0900": "trace curve",
  "1201": "operation result, overall data", "1202": "operation result, object data",
}));
function hmac(key, data) {
  const inner = new Uint8Array(64).fill(0x36), outer = new Uint8Array(64).fill(0x5c);
  key.forEach((byte, at) => { inner[at] ^= byte; outer[at] ^= byte; });
  return sha256(joined(outer, sha256(joined(inner, data))));
}
function parseRaw(line, after) {
  const found = line.length <= MAX_SMALL && RAW_LINE.exec(latin1(line));
  if (!found) throw new Refused("a line of raw.ndjson is not of the form of the format");
  const index = Number(found[3]), data = unbase64(found[1], "what raw.ndjson has for record " + index);
  if (index <= after) throw new Refused("the lines of raw.ndjson are not in the order of the records");
  return { index, data, salt: found[2] === undefined ? null : unhex(found[2]) };
}
async function rawsOf(members) {
  const found = [];
  let rest = new Uint8Array();
  if (!members.has("raw.ndjson")) return found;
  for await (const chunk of chunksOf(members.get("raw.ndjson"))) {
    let first = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, first)) {
      found.push(parseRaw(joined(rest, chunk.subarray(first, at)), found.length ? found.at(-1).index : -1));
      rest = new Uint8Array();
      first = at + 1;
    }
    rest = joined(rest, chunk.subarray(first));
    if (rest.length > MAX_SMALL) break;
  }
  if (rest.length) throw new Refused("a line of raw.ndjson is too long, or has no line feed");
  return found;
}
function isNamed({ data, salt }, context) {
  if (Object.hasOwn(context, "raw_hmac_sha256")) return salt !== null && hex(hmac(salt, data)) === context.raw_hmac_sha256;
  return salt === null && hex(sha256(data)) === context.raw_sha256;
}
// Return the verdict with what was found of the devices' bytes; those of a broken stream are not compared.
async function compareRaws(verdict, members, raws) {
  if (verdict.status === "BROKEN" || !raws.length) return verdict;
  const shown = [], broken = (index, reason) => ({
    ...verdict, status: "BROKEN", size: verdict.selected === null ? Math.min(verdict.size, index) : verdict.size, root: null, attested: 0,
    age: null, contents: null, listed: [], without_capture: [], without_capture_left_out: 0, seen_late: [], seen_late_left_out: 0, attestations: [], broken_at: index, reason, text: "BROKEN at record " + index + ": " + reason,
  });
  let next = 0, missing = 0;
  for await (const line of linesOf(members, "records.ndjson")) {
    const source = text(line);
    if (!source.includes('"raw_')) continue;
    const { context, kind, sequence_no: number } = JSON.parse(source), raw = raws[next];
    if (!Object.hasOwn(context, "raw_hmac_sha256") && !Object.hasOwn(context, "raw_sha256")) continue;
    if (!raw || raw.index > number) { missing++; continue; }
    if (raw.index < number) break;
    if (!isNamed(raw, context)) return broken(number, "the device's own bytes in the package are not those that it names");
    if (shown.length < MAX_REMARKS) shown.push({ index: number, kind, text: telegramText(raw.data) });
    next++;
  }
  if (next < raws.length) return broken(raws[next].index, "the package has bytes of a device for it, and no record in it that names them");
  const others = missing ? ", and not those of " + missing + " others" : "";
  const remark = "the package has the devices' own bytes of " + next + " records, which are those that they name" + others;
  return { ...verdict, raws: shown, remarks: [...verdict.remarks, { index: null, text: remark }] };
}
// Return the bytes as text, control characters as their symbols; what is no text in hex.
function telegramText(data) {
  const [, length, mid] = /^([0-9]{4})([0-9]{4})/.exec(latin1(data.subarray(0, 8))) || [];
  const whole = mid !== undefined && Number(length) === data.length - (data[data.length - 1] === 0 ? 1 : 0);
  const kind = whole ? "MID " + mid + (MIDS.has(mid) ? " (" + MIDS.get(mid) + ")" : "") + ": " : "";
  let characters = [];
  try { characters = [...text(data)]; } catch { return kind + hex(data); }
  const isControl = (one) => one < " " || one === "\u007f", controls = characters.filter(isControl).length;
  // A text has control characters at its ends only: start and end marks, line ends.
  if (characters.slice(2, -2).some(isControl) || 2 * controls >= characters.length) return kind + hex(data);
  return kind + characters.map((one) => one === "\u007f" ? "\u2421" : isControl(one) ? String.fromCharCode(0x2400 + one.charCodeAt(0)) : one).join("");
}

// Return what the manifest says of verified records that is not so (specification, 11.3.3).
async function falseClaims(members, origin, here) {
  const name = "manifest.json", said = [], say = (line) => said.push({ index: null, text: name + ": " + line });
  if (here === null || !members.has(name)) return said;
  if (members.get(name).size > MAX_SMALL) {
    say("it is larger than " + MAX_SMALL + " bytes, and was not compared with the records");
    return said;
  }
  let value = null;
  try { value = parseStrictly(await smallFile(members, name)); } catch (error) { if (!(error instanceof Malformed)) throw error; }
  if (!isObject(value)) {
    say("it is no JSON object of the format, and was not compared with the records");
    return said;
  }
  const equal = (one, other) => one !== undefined && canonical(one) === canonical(other);
  if (Object.hasOwn(value, "origin") && value.origin !== origin) say("it names another stream than " + origin);
  if (Object.hasOwn(value, "records") && !equal(value.records, here.records)) say("it states another number of records than the " + here.records + " that are here");
  if (Object.hasOwn(value, "contents")) {
    const stated = isObject(value.contents) ? value.contents : {};
    const others = ["records", "first", "last", "earliest", "latest", "kinds", "units", "other_units"].filter((one) => !equal(stated[one], here[one]));
    if (others.length) say("its contents are not those of the records: " + others.join(", "));
  }
  if (isObject(value.asked)) {
    const list = (one) => Array.isArray(one) ? one : [], names = (units) => units.slice(0, 10).join(", ") + (units.length > 10 ? ", …" : "");
    const { since, until, batches } = value.asked, units = list(value.asked.units).filter(isText), held = here.units.map(({ unit }) => unit);
    if (units.length && !list(batches).length) {
      const more = held.filter((unit) => !units.includes(unit)), none = units.filter((unit) => !held.includes(unit));
      if (more.length) say("records of units are here that it does not name: " + names(more));
      if (none.length) say("it names units of which no record is here: " + names(none));
    }
    if ((isText(since) && here.earliest < since) || (isText(until) && here.latest >= until)) say("records are here that lie outside of the times that it names");
  }
  return said;
}

// Return the verdict on a package (bytes of the zip file) under a policy (bytes of its file) and later revocations (bytes of each).
// The demands, if there are any, are those of `demanded`.
async function verifyEvidence(packageBytes, policyBytes, progress, revocations = [], demands = null) {
  try {
    const policy = await withRevocations(await openPolicy(policyBytes), revocations), members = await openZip(packageBytes);
    const selected = [...members.keys()].some((name) => name.startsWith("proofs/"));
    const raws = await rawsOf(members), seen = await (selected ? verifySelection : verifyStream)(members, policy, progress);
    seen.remarks = [...seen.remarks, ...await falseClaims(members, policy.origin, seen.contents)];
    const found = await compareRaws(seen, members, raws), verdict = demands ? demanded(found, policy, demands) : found;
    const told = policy.revocations.map((one) => one.vkey.name + " (" + one.vkey.id + ") from record " + one.first + " on: " + one.reason);
    return { ...verdict, origin: policy.origin, record_0: policy.record_0, policy: policy.sha256, revocations: told };
  } catch (error) {
    if (error instanceof Refused || error instanceof Malformed || error instanceof RangeError) {
      return { status: "REFUSED", text: error.message, broken_at: null, remarks: [] };
    }
    throw error;
  }
}

const fs = require("node:fs");
(async () => {
  const read = (path) => new Uint8Array(fs.readFileSync(path));
  const [cases, demands] = JSON.parse(process.argv[2]);
  for (const files of cases) {
    const [evidence, policy, ...revocations] = files.map(read);
    const begun = performance.now();
    const verdict = await verifyEvidence(evidence, policy, () => {}, revocations, demands);
    const cost = { ms: performance.now() - begun, kb: process.resourceUsage().maxRSS };
    console.log(JSON.stringify({ verdict, cost }));
  }
})();
