/**
 * Messages that made two parsers disagree about where a message ends, each with its source: a CVE, a
 * catalogue, or the rule of the RFC that it breaks. Facts only; the bytes are written anew.
 *
 * Sources in short: «Garden N» and «Garden T N» are the server and transducer bugs that the HTTP Garden
 * found (github.com/narfindustries/http-garden, TROPHIES.md); «Reborn», «Browser-powered» and «Must die» are
 * PortSwigger's research of 2019, 2022 and 2025 by James Kettle; «Klein» is Amit Klein's «HTTP Request
 * Smuggling in 2020»; «Funky chunks» is w4ke.info of 2025; «T-Reqs» is the paper of CCS 2021.
 */
import type { Side } from '../events.js';
import { bodies, chunks } from './bodies.js';
import { codings, fields, lengths, startLines, twoLengths } from './heads.js';
import { responses } from './responses.js';
import type { Vector } from './vector.js';

/** Every table with its side. */
export const tables: Readonly<Record<string, readonly [Side, readonly Vector[]]>> = {
  'two lengths': ['request', twoLengths],
  'lengths that are read in two ways': ['request', lengths],
  'transfer codings': ['request', codings],
  'field lines': ['request', fields],
  'request lines': ['request', startLines],
  'bodies where some expect none': ['request', bodies],
  'chunked bodies': ['request', chunks],
  responses: ['response', responses],
};
