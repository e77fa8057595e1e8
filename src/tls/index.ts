/** The public surface of `sallyport/tls`. */
export { type ClientHello, ClientHelloReader, clientHelloLimit, parseClientHello } from './client-hello.js';
export { loadUpstreamCa, parseCertificates } from './roots.js';
export { TrustContext, type TrustPolicy } from './trust.js';
export { BufferBudget } from '../base/budget.js';
export type { BufferOptions } from './buffer-options.js';
export type { ClientTrust } from './client-trust.js';
export { connectTls, type ConnectTlsOptions, TlsClient } from './connect.js';
export { createTlsServer, type TlsServerOptions } from './server.js';
