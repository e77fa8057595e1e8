/** The commands: what each is for and which options it takes. Parsing, help and docs/cli.md come from here. */
import type { Limits, Timeouts } from '../base/limits.js';
import { type Flag, type List, type Operands, type OptionTable, type Value } from './options.js';
import { trustNames } from './trust-advice.js';
import {
  limitDefaults,
  parseChoice,
  parseCount,
  parseDurationOrOff,
  parseHost,
  parseLimit,
  parsePath,
  parsePort,
  parsePortOrOff,
  parsePositiveDuration,
  parseReadBufferSize,
  parseStore,
  parseText,
  parseTimeout,
  parseWorkers,
  type Setting,
  type StoreChoice,
  storeVariable,
  timeoutDefaults,
} from './values.js';

/** One command, with what `--help` says about it. */
export interface Command {
  /** What follows `sallyport` on the command line. */
  readonly usage: string;
  /** One line, for the list of commands. */
  readonly about: string;
  /** What it does: paragraphs of one line each. */
  readonly details: readonly string[];
  readonly options: OptionTable;
  readonly operands: Operands;
  readonly examples: readonly string[];
}

const caDir = {
  kind: 'value',
  placeholder: 'DIR',
  about: 'Directory of the CA: ca.pem and ca-key.pem. Made on first use.',
  parse: parsePath,
  default: '~/.sallyport',
} as const satisfies Value<string>;

const json: Flag = { kind: 'flag', about: 'Print one JSON object instead of text for people.' };

const noColor: Flag = {
  kind: 'flag',
  about: 'No colours. NO_COLOR and FORCE_COLOR in the environment are honoured too.',
};

const create: Flag = { kind: 'flag', about: 'Make the CA if there is none yet.' };

/** What every command that starts a proxy takes. */
const proxyOptions = {
  caDir,
  upstreamCa: {
    kind: 'value',
    placeholder: 'FILE',
    about: 'PEM file of CAs to trust for origins, in addition to the roots that Node trusts.',
    parse: parsePath,
  } satisfies Value<string>,
  insecureUpstream: {
    kind: 'flag',
    about: 'Accept any certificate of an origin. Anybody on the way can then read and change the traffic.',
  } satisfies Flag,
  noVia: {
    kind: 'flag',
    about: 'Add no Via field to messages. It is what finds loops through other proxies.',
  } satisfies Flag,
  maxConnections: {
    kind: 'value',
    placeholder: 'N',
    about: 'Client connections at one time; one more gets 503. The same as --limit connections=N.',
    parse: parseCount(1),
  } satisfies Value<number>,
  leafProfile: {
    kind: 'value',
    placeholder: 'PROFILE',
    about: 'The kind of key that leaf certificates have: p256, or rsa-2048 for clients that know no other.',
    parse: parseChoice('p256', 'rsa-2048'),
    default: 'p256',
  } satisfies Value<'p256' | 'rsa-2048'>,
  wildcardLeaves: {
    kind: 'flag',
    about:
      'One leaf certificate per parent domain, where browsers take one. Needs the package tldts (npm install tldts).',
  } satisfies Flag,
  mirrorUpstream: {
    kind: 'value',
    placeholder: 'MODE',
    about:
      "on: leaves have the names and times of the origin's certificate. untrusted: also, clients of an origin with a bad one get a leaf that nobody trusts, not an error page.",
    parse: parseChoice('off', 'on', 'untrusted'),
    default: 'off',
  } satisfies Value<'off' | 'on' | 'untrusted'>,
  timeout: {
    kind: 'list',
    placeholder: 'NAME=DURATION',
    about: `How long one phase may take: 500ms, 10s, 2m, or off. Repeatable. Defaults: ${timeoutDefaults()}.`,
    parse: parseTimeout,
  } satisfies List<Setting<keyof Timeouts>>,
  limit: {
    kind: 'list',
    placeholder: 'NAME=VALUE',
    about: `How much may be used: a number, or 64KiB where it counts bytes; request-body takes off too. Repeatable. Defaults: ${limitDefaults()}.`,
    parse: parseLimit,
  } satisfies List<Setting<keyof Limits>>,
} as const;

const store = {
  kind: 'value',
  placeholder: 'STORE',
  about:
    'Where leaf certificates are kept: memory, file:DIR (shared by the processes of a machine), or redis://HOST:PORT (by machines). Private keys are sealed there. SALLYPORT_STORE in the environment says it too, which keeps a password out of the list of processes.',
  parse: parseStore,
  default: 'memory',
  environment: storeVariable,
} as const satisfies Value<StoreChoice>;

const logFormat = {
  kind: 'value',
  placeholder: 'FORMAT',
  about: 'How exchanges are logged: pretty, or json (one object a line).',
  parse: parseChoice('pretty', 'json'),
  default: 'pretty',
} as const satisfies Value<'pretty' | 'json'>;

const allocator = {
  kind: 'value',
  placeholder: 'NAME',
  about:
    'What hands out memory: system, or jemalloc, which gives more of it back after a burst (Linux with glibc; docs/memory.md).',
  parse: parseChoice('system', 'jemalloc'),
  default: 'system',
} as const satisfies Value<'system' | 'jemalloc'>;

const run = {
  usage: '[run] [options]',
  about: 'Run the proxy (what `sallyport` alone does).',
  details: [
    'Listens for HTTP proxy clients, decrypts what they send over HTTPS, and prints a line per exchange.',
    'Prints «listening on http://HOST:PORT» on stdout when it accepts connections. SIGTERM or SIGINT lets running exchanges end and exits with 0; a second one cuts them off.',
  ],
  operands: 'none',
  options: {
    host: {
      kind: 'value',
      placeholder: 'HOST',
      about: 'Address to listen on. Whoever can connect can use the proxy.',
      parse: parseHost,
      default: '127.0.0.1',
    } satisfies Value<string>,
    port: {
      kind: 'value',
      placeholder: 'PORT',
      about: 'Port to listen on; 0 takes a free one.',
      parse: parsePort,
      default: '8080',
    } satisfies Value<number>,
    ...proxyOptions,
    store,
    readBufferSize: {
      kind: 'value',
      placeholder: 'SIZE',
      about:
        'The most that one read from an origin takes, 4KiB to 4MiB; https is read in large pieces then. adaptive: up to 256KiB for http, what Node reads for https.',
      parse: parseReadBufferSize,
      default: 'adaptive',
    } satisfies Value<number | 'adaptive'>,
    showReads: {
      kind: 'flag',
      about: 'At the end, print how large the reads and writes of both legs were.',
    } satisfies Flag,
    ledgerEvery: {
      kind: 'value',
      placeholder: 'DURATION',
      about:
        'Print what was opened and closed so often, and at the end: a line on stdout for each kind that moved. off: never.',
      parse: parseDurationOrOff,
      default: 'off',
    } satisfies Value<number | 'off'>,
    workers: {
      kind: 'value',
      placeholder: 'N',
      about: 'Processes that share the port and the store; auto is one per CPU.',
      parse: parseWorkers,
      default: '1',
    } satisfies Value<number>,
    allocator,
    uiPort: {
      kind: 'value',
      placeholder: 'PORT',
      about: 'Port of the dashboard, or off. This version has off only.',
      parse: parsePortOrOff,
      default: 'off',
    } satisfies Value<number | 'off'>,
    drainTimeout: {
      kind: 'value',
      placeholder: 'DURATION',
      about: 'How long running exchanges may go on after the first SIGTERM.',
      parse: parsePositiveDuration,
      default: '10s',
    } satisfies Value<number>,
    logFormat,
    quiet: { kind: 'flag', about: 'No exchange lines and no start-up message.' } satisfies Flag,
    noColor,
  },
  examples: [
    'sallyport',
    'sallyport run --port 0 --ca-dir ./ca --log-format json',
    'sallyport run --upstream-ca corporate-ca.pem --timeout connect=3s --limit head=128KiB',
    'sallyport run --workers 4 --store file:./certificates',
  ],
} as const satisfies Command;

const exec = {
  usage: 'exec [options] -- CMD [ARG …]',
  about: 'Run a command with its traffic going through a proxy of its own.',
  details: [
    'Starts a proxy on a free port of 127.0.0.1, runs CMD with the variables that make common tools use it and trust its CA, and ends with the status of CMD (128 + the number of the signal that ended it). Signals are passed on.',
    'CMD that is not found gives 127, one that cannot be executed 126.',
  ],
  operands: 'command',
  options: {
    ...proxyOptions,
    store,
    noProxy: {
      kind: 'value',
      placeholder: 'LIST',
      about: "NO_PROXY for CMD; '' clears it. Without this option the value of your environment stays.",
      parse: parseText,
      mayBeEmpty: true,
    } satisfies Value<string>,
    log: {
      kind: 'value',
      placeholder: 'FILE',
      about: 'Append a line per exchange to FILE (mode 0600 where it is made).',
      parse: parsePath,
    } satisfies Value<string>,
    verbose: { kind: 'flag', about: 'Print a line per exchange to stderr.' } satisfies Flag,
    allocator,
    logFormat,
    quiet: { kind: 'flag', about: 'No notices about the environment on stderr.' } satisfies Flag,
    noColor,
  },
  examples: [
    'sallyport exec -- curl https://example.com/',
    'sallyport exec --verbose -- npm test',
    "sallyport exec --no-proxy '' --log traffic.log -- python3 client.py",
    'sallyport exec --store file:./certificates -- npm test',
  ],
} as const satisfies Command;

const caShow = {
  usage: 'ca show [options]',
  about: 'Show where the CA is, its fingerprint and how long it is valid.',
  details: ['Fails when there is no CA yet, unless --create is given.'],
  operands: 'none',
  options: { caDir, create, json },
  examples: ['sallyport ca show', 'sallyport ca show --create --json'],
} as const satisfies Command;

const caExport = {
  usage: 'ca export [options]',
  about: 'Write the CA certificate as PEM, DER or PKCS #12.',
  details: [
    'pem holds the certificate, followed by its issuers where it is not a root; der the certificate; p12 is a trust store for Java, Windows and macOS. The private key is in none of them.',
    'Without --out it goes to stdout; der and p12 are not written to a terminal.',
  ],
  operands: 'none',
  options: {
    caDir,
    create,
    format: {
      kind: 'value',
      placeholder: 'FORMAT',
      about: 'pem, der or p12.',
      parse: parseChoice('pem', 'der', 'p12'),
      default: 'pem',
    } satisfies Value<'pem' | 'der' | 'p12'>,
    out: {
      kind: 'value',
      placeholder: 'FILE',
      about: 'File to write; one that is there is replaced.',
      parse: parsePath,
    } satisfies Value<string>,
    password: {
      kind: 'value',
      placeholder: 'TEXT',
      about: 'Password of the p12 file. It holds no secret: importers insist on one.',
      parse: parseText,
      default: 'changeit',
    } satisfies Value<string>,
  },
  examples: [
    'sallyport ca export > ca.pem',
    'sallyport ca export --format der --out ca.crt',
    'sallyport ca export --format p12 --out truststore.p12',
  ],
} as const satisfies Command;

const caImport = {
  usage: 'ca import --cert FILE --key FILE [options]',
  about: 'Use an existing RSA or EC CA instead of one that is made.',
  details: [
    'Copies the certificate (with its chain, if the file has one) and the key into the CA directory, which must not hold a CA yet.',
  ],
  operands: 'none',
  options: {
    caDir,
    cert: {
      kind: 'value',
      placeholder: 'FILE',
      about: 'PEM file of the CA certificate, followed by its issuers if it is not a root.',
      parse: parsePath,
    } satisfies Value<string>,
    key: {
      kind: 'value',
      placeholder: 'FILE',
      about: 'PEM file of its private key.',
      parse: parsePath,
    } satisfies Value<string>,
    passphraseFile: {
      kind: 'value',
      placeholder: 'FILE',
      about: 'File whose first line decrypts the key. The key is stored without a passphrase, mode 0600.',
      parse: parsePath,
    } satisfies Value<string>,
  },
  examples: ['sallyport ca import --cert corporate-ca.pem --key corporate-ca-key.pem --ca-dir ./ca'],
} as const satisfies Command;

const caTrust = {
  usage: 'ca trust --print [options]',
  about: 'Say how each system, browser and tool is made to trust the CA.',
  details: ['Changes nothing: it prints the commands, you choose which to run.'],
  operands: 'none',
  options: {
    caDir,
    create,
    print: { kind: 'flag', about: 'Print what to run. Required.' } satisfies Flag,
    for: {
      kind: 'list',
      placeholder: 'NAME',
      about: `Only this one. Repeatable. Names: ${trustNames.join(', ')}.`,
      parse: parseChoice(...trustNames),
    } satisfies List<string>,
  },
  examples: ['sallyport ca trust --print', 'sallyport ca trust --print --for firefox --for java'],
} as const satisfies Command;

/** Which store the commands of `certs` work on. */
const certsOptions = {
  store: {
    kind: 'value',
    placeholder: 'STORE',
    about:
      'memory (that of the running proxy with this CA), file:DIR or redis://HOST:PORT; or SALLYPORT_STORE in the environment.',
    parse: parseStore,
    default: 'memory',
    environment: storeVariable,
  } satisfies Value<StoreChoice>,
  caDir,
  pid: {
    kind: 'value',
    placeholder: 'PID',
    about: 'Which running proxy to ask, where several run with this CA.',
    parse: parseCount(1),
  } satisfies Value<number>,
  json,
} as const;

const certsList = {
  usage: 'certs list [options]',
  about: 'List the certificates of a store.',
  details: [
    'A line per certificate: host, key profile, end, serial, state (valid, not-yet-valid, expired, broken), size.',
  ],
  operands: 'none',
  options: certsOptions,
  examples: ['sallyport certs list', 'sallyport certs list --store file:./certificates --json'],
} as const satisfies Command;

const certsShow = {
  usage: 'certs show HOST [options]',
  about: 'Show the certificate for a host.',
  details: ['Fails when there is none. The private key is never shown.'],
  operands: 'words',
  options: {
    ...certsOptions,
    pem: { kind: 'flag', about: 'Print the certificate as PEM.' } satisfies Flag,
  },
  examples: ['sallyport certs show example.com', 'sallyport certs show example.com --pem'],
} as const satisfies Command;

const certsPurge = {
  usage: 'certs purge (--expired | --host HOST | --all) [options]',
  about: 'Remove certificates from a store.',
  details: [
    'They are made anew when a proxy needs them. --expired removes broken entries too. The proxies that run on this machine with this CA drop what they have at hand, too; connections that are open keep what they have. A proxy on another machine that shares the store, and one of exec, goes on with what it has at hand until that is renewed or the proxy is started anew.',
  ],
  operands: 'none',
  options: {
    ...certsOptions,
    expired: { kind: 'flag', about: 'Those that have ended, and those that cannot be read.' } satisfies Flag,
    host: {
      kind: 'value',
      placeholder: 'HOST',
      about: 'Those for this host.',
      parse: parseText,
    } satisfies Value<string>,
    all: { kind: 'flag', about: 'All of them.' } satisfies Flag,
  },
  examples: [
    'sallyport certs purge --expired --store file:./certificates',
    'sallyport certs purge --host example.com',
  ],
} as const satisfies Command;

const certsWarm = {
  usage: 'certs warm HOST … [options]',
  about: 'Have certificates made before anybody asks for them.',
  details: [
    'Says for each host whether its certificate was made, found, or failed; exits with 1 if one failed. --leaf-profile and --wildcard-leaves have to be those of the proxies that are to find them. A proxy that runs takes its own, where --store is its memory.',
  ],
  operands: 'words',
  options: {
    ...certsOptions,
    leafProfile: {
      kind: 'value',
      placeholder: 'PROFILE',
      about: 'The kind of key: p256 or rsa-2048. Default: p256, or what the running proxy has.',
      parse: parseChoice('p256', 'rsa-2048'),
    } satisfies Value<'p256' | 'rsa-2048'>,
    wildcardLeaves: {
      kind: 'flag',
      about: 'One certificate per parent domain, as run --wildcard-leaves has it.',
    } satisfies Flag,
  },
  examples: ['sallyport certs warm example.com www.example.com --store file:./certificates'],
} as const satisfies Command;

const certsStats = {
  usage: 'certs stats [options]',
  about: 'Count what is in a store, and what the running proxy did with it.',
  details: [
    'The counters are those of the proxy that runs with this CA, if one does: all its workers together.',
  ],
  operands: 'none',
  options: certsOptions,
  examples: ['sallyport certs stats', 'sallyport certs stats --store file:./certificates --json'],
} as const satisfies Command;

const doctor = {
  usage: 'doctor [options]',
  about: 'Check this machine, and make one intercepted request end to end.',
  details: [
    'Each line is ✓ (fine), ! (works, with something to know) or ✗ (broken), with what to do. Exits with 1 if there is a ✗. Nothing is changed.',
  ],
  operands: 'none',
  options: {
    caDir,
    host: {
      kind: 'value',
      placeholder: 'HOST',
      about: 'The address that the proxy is to listen on.',
      parse: parseHost,
      default: '127.0.0.1',
    } satisfies Value<string>,
    port: {
      kind: 'value',
      placeholder: 'PORT',
      about: 'The port that the proxy is to listen on.',
      parse: parsePort,
      default: '8080',
    } satisfies Value<number>,
    json,
    noColor,
  },
  examples: ['sallyport doctor', 'sallyport doctor --ca-dir ./ca --port 3128 --json'],
} as const satisfies Command;

/** By what is typed after `sallyport`. */
export const commands = {
  run,
  exec,
  'ca show': caShow,
  'ca export': caExport,
  'ca import': caImport,
  'ca trust': caTrust,
  'certs list': certsList,
  'certs show': certsShow,
  'certs purge': certsPurge,
  'certs warm': certsWarm,
  'certs stats': certsStats,
  doctor,
} as const satisfies Readonly<Record<string, Command>>;

export type CommandName = keyof typeof commands;

export const commandNames = Object.keys(commands) as readonly CommandName[];
