/**
 * Certificates for the benchmark: a P-256 authority and leaf certificates, written as DER by hand so that the
 * simple peers can make one in well under a millisecond and nothing has to be installed. It shares nothing
 * with the project's own minting, which is one of the things measured. RFC 5280 §4.1, RFC 5480.
 */
import { createHash, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/**
 * @typedef {object} Authority
 * @property {string} certPem
 * @property {string} keyPem
 * @property {import('node:crypto').KeyObject} key
 * @property {Buffer} name the subject, as DER
 * @property {Buffer} keyId
 */

/** @typedef {{ certPem: string, keyPem: string }} Identity a certificate and its key, both PEM */

const OID = {
  commonName: '0603550403',
  ecdsaWithSha256: '06082a8648ce3d040302',
  basicConstraints: '0603551d13',
  keyUsage: '0603551d0f',
  extKeyUsage: '0603551d25',
  serverAuth: '06082b06010505070301',
  subjectAltName: '0603551d11',
  subjectKeyId: '0603551d0e',
  authorityKeyId: '0603551d23',
};
const ALGORITHM = seq(hex(OID.ecdsaWithSha256));
const DAY = 86_400_000;

/**
 * @param {string} commonName
 * @returns {Authority}
 */
export function makeAuthority(commonName) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const name = distinguishedName(commonName);
  const keyId = keyIdentifier(spki);
  const extensions = [
    extension(OID.basicConstraints, true, seq(Buffer.from([0x01, 0x01, 0xff]))),
    extension(OID.keyUsage, true, Buffer.from([0x03, 0x02, 0x01, 0x06])),
    extension(OID.subjectKeyId, false, der(0x04, keyId)),
  ];
  return {
    certPem: certificate({ issuer: name, subject: name, spki, extensions, key: privateKey }),
    keyPem: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    key: privateKey,
    name,
    keyId,
  };
}

/** A fresh P-256 key for leaves; one is enough for any number of them. */
export function makeLeafKey() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    spki: publicKey.export({ type: 'spki', format: 'der' }),
    keyPem: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
}

/**
 * @param {Authority} authority
 * @param {{ spki: Buffer, keyPem: string }} leafKey
 * @param {readonly string[]} names host names (wildcards allowed) and IP addresses
 * @returns {Identity}
 */
export function makeLeaf(authority, leafKey, names) {
  const extensions = [
    extension(OID.keyUsage, true, Buffer.from([0x03, 0x02, 0x07, 0x80])),
    extension(OID.extKeyUsage, false, seq(hex(OID.serverAuth))),
    extension(OID.subjectAltName, false, seq(...names.map(generalName))),
    extension(OID.authorityKeyId, false, seq(der(0x80, authority.keyId))),
  ];
  const certPem = certificate({
    issuer: authority.name,
    subject: distinguishedName((names[0] ?? '').slice(0, 64)),
    spki: leafKey.spki,
    extensions,
    key: authority.key,
  });
  return { certPem, keyPem: leafKey.keyPem };
}

/**
 * The form in which an authority is handed to another process (`authorityFromPem` reads it back).
 * @param {string} certPem
 * @param {import('node:crypto').KeyObject} key
 * @returns {Authority}
 */
export function authorityFromPem(certPem, key) {
  const parsed = new X509Certificate(certPem);
  const spki = parsed.publicKey.export({ type: 'spki', format: 'der' });
  const commonName = parsed.subject.replace(/^CN=/, '');
  return {
    certPem,
    keyPem: String(key.export({ type: 'pkcs8', format: 'pem' })),
    key,
    name: distinguishedName(commonName),
    keyId: keyIdentifier(spki),
  };
}

/** @param {{ issuer: Buffer, subject: Buffer, spki: Buffer, extensions: Buffer[], key: import('node:crypto').KeyObject }} part */
function certificate({ issuer, subject, spki, extensions, key }) {
  const serial = randomBytes(16);
  // Positive, and never shorter than it says (RFC 5280 §4.1.2.2).
  serial.writeUInt8((serial.readUInt8(0) & 0x7f) | 0x40, 0);
  const now = Date.now();
  const tbs = seq(
    der(0xa0, Buffer.from([0x02, 0x01, 0x02])),
    der(0x02, serial),
    ALGORITHM,
    issuer,
    seq(utcTime(now - DAY), utcTime(now + 90 * DAY)),
    subject,
    spki,
    der(0xa3, seq(...extensions)),
  );
  const signature = sign('sha256', tbs, key);
  const whole = seq(tbs, ALGORITHM, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = /** @type {string[]} */ (whole.toString('base64').match(/.{1,64}/g));
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** @param {string} name */
function generalName(name) {
  const family = isIP(name);
  if (family === 4) return der(0x87, Buffer.from(name.split('.').map(Number)));
  if (family === 6) return der(0x87, ipv6Bytes(name));
  return der(0x82, Buffer.from(name, 'latin1'));
}

/** @param {string} address */
function ipv6Bytes(address) {
  const [head = '', tail = ''] = address.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === '' ? [] : tail.split(':');
  const zeros = Array(8 - front.length - back.length).fill('0');
  const words = address.includes('::') ? [...front, ...zeros, ...back] : front;
  return Buffer.concat(words.map((word) => Buffer.from(word.padStart(4, '0'), 'hex')));
}

/** @param {string} commonName */
function distinguishedName(commonName) {
  return seq(der(0x31, seq(hex(OID.commonName), der(0x0c, Buffer.from(commonName)))));
}

/** @param {Buffer} spki */
function keyIdentifier(spki) {
  return createHash('sha1').update(spki.subarray(-65)).digest();
}

/** @param {string} oid @param {boolean} critical @param {Buffer} value */
function extension(oid, critical, value) {
  return seq(hex(oid), critical ? Buffer.from([0x01, 0x01, 0xff]) : Buffer.alloc(0), der(0x04, value));
}

/** @param {number} at milliseconds since 1970 */
function utcTime(at) {
  const digits = new Date(at).toISOString().replace(/[-:T]/g, '').slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}

/** @param {...Buffer} parts */
function seq(...parts) {
  return der(0x30, Buffer.concat(parts));
}

/** @param {number} tag @param {Buffer} content */
function der(tag, content) {
  const { length } = content;
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

/** @param {string} digits */
function hex(digits) {
  return Buffer.from(digits, 'hex');
}
