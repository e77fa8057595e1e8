/** How each system, browser and tool is made to trust the CA, as text. Nothing is run from here. */
import { shellQuote, windowsQuote } from './shell.js';

/** What the advice is about. */
export interface TrustSubject {
  /** Path of the PEM certificate. */
  readonly caPath: string;
  /** Base64 of the SHA-256 of the CA's SubjectPublicKeyInfo, as Chromium's option takes it. */
  readonly spkiSha256: string;
}

export interface TrustAdvice {
  readonly title: string;
  /** Command lines, and sentences where there is no command. */
  readonly steps: readonly string[];
  readonly undo?: readonly string[];
  readonly note?: string;
}

interface Quoted extends TrustSubject {
  readonly posix: string;
  readonly windows: string;
}

const linuxBundle = '/etc/ssl/certs/ca-certificates.crt';

const entries = {
  debian: ({ posix }) => ({
    title: 'Debian, Ubuntu',
    steps: [`sudo cp ${posix} /usr/local/share/ca-certificates/sallyport.crt`, 'sudo update-ca-certificates'],
    undo: ['sudo rm /usr/local/share/ca-certificates/sallyport.crt', 'sudo update-ca-certificates --fresh'],
  }),
  fedora: ({ posix }) => ({
    title: 'Fedora, RHEL, CentOS, Amazon Linux',
    steps: [`sudo cp ${posix} /etc/pki/ca-trust/source/anchors/sallyport.pem`, 'sudo update-ca-trust'],
    undo: ['sudo rm /etc/pki/ca-trust/source/anchors/sallyport.pem', 'sudo update-ca-trust'],
  }),
  arch: ({ posix }) => ({
    title: 'Arch Linux',
    steps: [`sudo trust anchor --store ${posix}`],
    undo: [`sudo trust anchor --remove ${posix}`],
  }),
  alpine: ({ posix }) => ({
    title: 'Alpine Linux',
    steps: [
      'sudo apk add ca-certificates',
      `sudo cp ${posix} /usr/local/share/ca-certificates/sallyport.crt`,
      'sudo update-ca-certificates',
    ],
    undo: ['sudo rm /usr/local/share/ca-certificates/sallyport.crt', 'sudo update-ca-certificates'],
  }),
  macos: ({ posix }) => ({
    title: 'macOS (Safari and Chrome use it too)',
    steps: [`security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db ${posix}`],
    undo: [`security remove-trusted-cert ${posix}`],
    note: 'For all users: sudo, -d, and -k /Library/Keychains/System.keychain.',
  }),
  windows: ({ windows }) => ({
    title: 'Windows (Edge and Chrome use it too)',
    steps: [`certutil -user -addstore Root ${windows}`],
    undo: ['certmgr.msc: Trusted Root Certification Authorities, Certificates, delete the one of sallyport'],
    note: 'For all users: without -user, in a console of an administrator.',
  }),
  firefox: ({ caPath, posix }) => ({
    title: 'Firefox',
    steps: [
      'Settings, Privacy & Security, Certificates, View Certificates…, Authorities, Import…',
      `Choose ${caPath} and tick «Trust this CA to identify websites».`,
    ],
    undo: ['In the same list: sallyport, Delete or Distrust…'],
    note: `By command, Firefox closed: certutil -A -d sql:PROFILE -n sallyport -t C,, -i ${posix} (PROFILE: about:profiles). On macOS and Windows Firefox can use the system's store: security.enterprise_roots.enabled in about:config.`,
  }),
  chrome: ({ posix, spkiSha256 }) => ({
    title: 'Chrome, Chromium, Edge on Linux',
    steps: ['mkdir -p ~/.pki/nssdb', `certutil -A -d sql:"$HOME/.pki/nssdb" -n sallyport -t C,, -i ${posix}`],
    undo: ['certutil -D -d sql:"$HOME/.pki/nssdb" -n sallyport'],
    note: `certutil is in libnss3-tools (Debian), nss-tools (Fedora), nss (Arch). For one run without trusting anything: --user-data-dir=NEW-DIRECTORY --ignore-certificate-errors-spki-list=${spkiSha256}`,
  }),
  node: ({ posix }) => ({
    title: 'Node.js',
    steps: [`export NODE_EXTRA_CA_CERTS=${posix}`],
    note: 'From Node 22.15 on, NODE_OPTIONS=--use-system-ca takes the roots of the system instead. fetch and http use HTTPS_PROXY with NODE_USE_ENV_PROXY=1 (Node 24, 22.21).',
  }),
  deno: ({ posix }) => ({ title: 'Deno', steps: [`export DENO_CERT=${posix}`] }),
  python: ({ posix }) => ({
    title: 'Python (urllib, requests, httpx, pip)',
    steps: [
      `cat ${linuxBundle} ${posix} > roots-and-sallyport.pem`,
      'export SSL_CERT_FILE="$PWD/roots-and-sallyport.pem"',
      'export REQUESTS_CA_BUNDLE="$SSL_CERT_FILE" PIP_CERT="$SSL_CERT_FILE"',
    ],
    note: 'These variables replace the roots, so the file holds the roots of the system too. On Fedora they are in /etc/pki/tls/certs/ca-bundle.crt.',
  }),
  curl: ({ posix }) => ({
    title: 'curl',
    steps: [`curl --cacert ${posix} …`],
    note: 'For a whole session: CURL_CA_BUNDLE.',
  }),
  wget: ({ posix }) => ({ title: 'wget', steps: [`wget --ca-certificate=${posix} …`] }),
  git: ({ posix }) => ({
    title: 'git',
    steps: [`git config --global http.sslCAInfo ${posix}`],
    undo: ['git config --global --unset http.sslCAInfo'],
    note: 'For one command: git -c http.sslCAInfo=… clone …. For a session: GIT_SSL_CAINFO.',
  }),
  java: ({ posix }) => ({
    title: 'Java',
    steps: [`keytool -importcert -noprompt -cacerts -storepass changeit -alias sallyport -file ${posix}`],
    undo: ['keytool -delete -cacerts -storepass changeit -alias sallyport'],
    note: 'This changes the JDK whose keytool runs. The proxy is set by -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=8080.',
  }),
  go: ({ posix }) => ({
    title: 'Go',
    steps: [
      `cat ${linuxBundle} ${posix} > roots-and-sallyport.pem`,
      'export SSL_CERT_FILE="$PWD/roots-and-sallyport.pem"',
    ],
    note: "On macOS and Windows Go uses the system's store. Go's HTTP client never sends requests for localhost through a proxy of the environment.",
  }),
  ruby: ({ posix }) => ({
    title: 'Ruby',
    steps: [
      `cat ${linuxBundle} ${posix} > roots-and-sallyport.pem`,
      'export SSL_CERT_FILE="$PWD/roots-and-sallyport.pem"',
    ],
  }),
  rust: ({ posix }) => ({
    title: 'Rust (cargo, and programs that use the roots of the system)',
    steps: [`export CARGO_HTTP_CAINFO=${posix}`],
    note: 'Programs with rustls-native-certs or openssl take SSL_CERT_FILE, as under python; those with webpki-roots trust nothing else.',
  }),
  php: ({ posix }) => ({
    title: 'PHP',
    steps: [`php -d openssl.cafile=${posix} -d curl.cainfo=${posix} …`],
  }),
  docker: ({ posix }) => ({
    title: 'A Docker image (Debian, Ubuntu, Alpine)',
    steps: [
      `cp ${posix} sallyport.crt`,
      'COPY sallyport.crt /usr/local/share/ca-certificates/   (in the Dockerfile)',
      'RUN update-ca-certificates   (in the Dockerfile)',
    ],
  }),
} as const satisfies Readonly<Record<string, (subject: Quoted) => TrustAdvice>>;

export type TrustName = keyof typeof entries;

/** What `--for` takes. */
export const trustNames = Object.keys(entries) as readonly TrustName[];

/** The advice for `names`, in the order of the list. */
export function trustAdvice(
  subject: TrustSubject,
  names: readonly TrustName[] = trustNames,
): readonly TrustAdvice[] {
  const quoted = {
    ...subject,
    posix: shellQuote(subject.caPath),
    windows: windowsQuote(subject.caPath),
  };
  return trustNames.filter((name) => names.includes(name)).map((name) => entries[name](quoted));
}

/** The advice as text for a terminal; commands are indented and can be pasted. */
export function renderTrustAdvice(advice: readonly TrustAdvice[]): string {
  return advice
    .map(({ title, steps, undo, note }) =>
      [
        title,
        ...steps.map((step) => `  ${step}`),
        ...(undo ? ['  to undo:', ...undo.map((step) => `    ${step}`)] : []),
        ...(note === undefined ? [] : [`  note: ${note}`]),
      ].join('\n'),
    )
    .join('\n\n');
}
