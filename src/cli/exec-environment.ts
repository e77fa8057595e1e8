/** The environment of a command that is to use the proxy and trust its CA. Pure. */

type Environment = Readonly<Record<string, string | undefined>>;

/** Proxies for every scheme, in both spellings: curl reads `http_proxy` in lower case only. */
const proxyVariables = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'] as const;

/** Files whose certificates are trusted in addition to the roots of the program. */
const additionalRoots = ['NODE_EXTRA_CA_CERTS', 'DENO_CERT'] as const;

/** Files whose certificates are trusted instead of the roots of the program: they get the system's too. */
const completeRoots = [
  'SSL_CERT_FILE', // OpenSSL: Python, Ruby, PHP, wget …; Go and Rust on Linux
  'REQUESTS_CA_BUNDLE', // Python requests
  'HTTPLIB2_CA_CERTS',
  'PIP_CERT',
  'CURL_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'CARGO_HTTP_CAINFO',
  'AWS_CA_BUNDLE',
  'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE',
  'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
  'PERL_LWP_SSL_CA_FILE',
  'BUNDLE_SSL_CA_CERT',
  'HEX_CACERTS_PATH',
  'NIX_SSL_CERT_FILE',
  'npm_config_cafile', // npm, pnpm
] as const;

export interface ExecSetting extends RootFiles {
  readonly proxyUrl: string;
  /** NO_PROXY; `undefined` leaves the user's. */
  readonly noProxy: string | undefined;
}

/** The files that make a command trust the CA. */
export interface RootFiles {
  /** The CA certificate alone. */
  readonly caFile: string;
  /** The CA and the roots that the user adds to those of programs. */
  readonly extraFile: string;
  /** The CA, the roots of the system and the user's. */
  readonly bundleFile: string;
  /** The user's settings of wget, and the bundle: wget with GnuTLS, as Debian has it, reads no variable. */
  readonly wgetrcFile: string;
}

/** `outside` with everything set that makes common tools use the proxy and trust its CA. */
export function execEnvironment(outside: Environment, setting: ExecSetting): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(outside)) if (value !== undefined) environment[name] = value;
  const { proxyUrl, caFile, extraFile, bundleFile, wgetrcFile, noProxy } = setting;
  for (const name of proxyVariables) environment[name] = environment[name.toLowerCase()] = proxyUrl;
  if (noProxy !== undefined) environment['NO_PROXY'] = environment['no_proxy'] = noProxy;
  for (const name of additionalRoots) environment[name] = extraFile;
  for (const name of completeRoots) environment[name] = bundleFile;
  return Object.assign(environment, {
    // Node 24 (and 22.21): fetch and http.request use the proxy of the environment.
    NODE_USE_ENV_PROXY: '1',
    // The settings of .npmrc would win over HTTPS_PROXY.
    npm_config_proxy: proxyUrl,
    npm_config_https_proxy: proxyUrl,
    WGETRC: wgetrcFile,
    // For scripts that configure something that reads none of the above.
    SALLYPORT_PROXY: proxyUrl,
    SALLYPORT_CA_FILE: caFile,
  });
}

/** A file of certificates that the outside trusts. */
export interface OutsideRoots {
  /** The first variable that names it. */
  readonly name: string;
  readonly path: string;
  /** Whether it is trusted in addition to other roots, rather than instead of them. */
  readonly additional: boolean;
}

/** The files of certificates that the outside names, each once. */
export function outsideRootFiles(outside: Environment): readonly OutsideRoots[] {
  const files = new Map<string, OutsideRoots>();
  for (const name of [...additionalRoots, ...completeRoots]) {
    const path = outside[name];
    if (path === undefined || path === '' || files.has(path)) continue;
    files.set(path, { name, path, additional: additionalRoots.some((one) => one === name) });
  }
  return [...files.values()];
}

/** What the user should know about the environment, a sentence each. */
export function execNotices(outside: Environment, noProxy: string | undefined): readonly string[] {
  const notices: string[] = [];
  const overridden = proxyVariables
    .flatMap((name) => [name, name.toLowerCase()])
    .filter((name) => (outside[name] ?? '') !== '');
  if (overridden.length > 0) {
    notices.push(
      `${overridden.join(', ')} of your environment ${overridden.length === 1 ? 'is' : 'are'} not used: the proxy goes to origins directly`,
    );
  }
  const kept = (outside['NO_PROXY'] ?? '') !== '' ? 'NO_PROXY' : 'no_proxy';
  const list = outside[kept] ?? '';
  if (noProxy === undefined && list !== '') {
    notices.push(
      `${kept}=${list} of your environment stays: these hosts are not intercepted (--no-proxy '' clears it)`,
    );
  }
  return notices;
}
