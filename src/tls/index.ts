/** The public surface of `sallyport/tls`. */
export { type ClientHello, ClientHelloReader, clientHelloLimit, parseClientHello } from './client-hello.js';
export { loadUpstreamCa, parseCertificates } from './roots.js';
export { TrustContext, type TrustPolicy } from './trust.js';
