/** May a failed request be sent once more, on another connection? Pure. */

export interface FailedRequest {
  /** As it was sent: methods are case-sensitive (RFC 9110 §9.1). */
  readonly method: string;
  /** Whether the connection had served an earlier exchange. */
  readonly reused: boolean;
  /** Whether any byte of a response arrived. */
  readonly responseStarted: boolean;
  /** Whether body bytes were taken from the client that cannot be sent again. */
  readonly bodySent: boolean;
  /** How many times the request has been sent, the one that failed included. */
  readonly attempts: number;
}

/** RFC 9110 §9.2.2: the safe methods (§9.2.1), PUT and DELETE. */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/**
 * Whether the failure looks like an idle connection that the origin closed just as it was taken (RFC 9112
 * §9.3.1), and sending again can do no harm. A proxy must not repeat a request that is not idempotent, and
 * should not repeat a repeated one (RFC 9110 §9.2.2). On a new connection the failure is the origin's
 * answer, and the client should see it.
 */
export function mayRetry(failed: FailedRequest): boolean {
  return (
    failed.reused &&
    !failed.responseStarted &&
    !failed.bodySent &&
    failed.attempts === 1 &&
    idempotent.has(failed.method)
  );
}
