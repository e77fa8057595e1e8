/** What happens on the paths through a function, in order, as ESLint's code path analysis sees them. */
import type { Node } from './ast.js';
import { type Jump, jumpOf } from './jumps.js';
import type { CodePath, Segment, Visitor } from './rule.js';

/** Edges between segments that are never taken: from, to. */
export type Edges = ReadonlyMap<Segment, ReadonlySet<Segment>>;

/** How a value gets out of sight: by a path that leaves the code (`at` the statement that leaves, if one does), or by being replaced, in a loop perhaps by the next from the same place. */
export type Loss =
  | { readonly kind: 'left'; readonly at: Node | undefined }
  | { readonly kind: 'replaced' | 'again'; readonly at: Node };

/** What is looked for on the way. */
export interface Watch {
  /** Nodes at which the value is taken care of. */
  readonly ends: ReadonlySet<Node>;
  /** Assignments that put something else in its place. */
  readonly writes: ReadonlySet<Node>;
  readonly impossible: Edges;
}

interface Frame {
  readonly path: CodePath;
  readonly current: Set<Segment>;
}

export class Paths {
  readonly #frames: Frame[] = [];
  readonly #events = new Map<Segment, Node[]>();
  readonly #places = new Map<Node, Segment[]>();
  readonly #starts = new Map<Node, Segment[]>();
  readonly #leaving = new Map<Segment, Node>();
  readonly #jumps: Jump[] = [];
  readonly #final = new Set<Segment>();

  /** Handlers that write down what is passed. @param finished is called when the whole file has been */
  visitor(finished: () => void): Visitor {
    const record = (node: Node): void => {
      this.record(node);
    };
    const leave = (node: Node): void => {
      for (const segment of this.#current()) this.#leaving.set(segment, node);
    };
    const jump = (node: Node): void => {
      this.record(node);
      const found = jumpOf(node);
      if (found) this.#jumps.push(found);
    };
    return {
      onCodePathStart: (path, node) => {
        // A function is an event of the code around it, too: it may take a variable with it.
        this.record(node);
        this.#frames.push({ path, current: new Set() });
      },
      onCodePathEnd: (path) => {
        this.#frames.pop();
        for (const segment of path.finalSegments) this.#final.add(segment);
        if (this.#frames.length === 0) finished();
      },
      onCodePathSegmentStart: (segment, node) => {
        this.#current().add(segment);
        append(this.#starts, node, segment);
      },
      onCodePathSegmentEnd: (segment) => {
        this.#current().delete(segment);
      },
      Identifier: record,
      'AssignmentExpression:exit': record,
      'VariableDeclarator:exit': record,
      BreakStatement: jump,
      ContinueStatement: jump,
      'ReturnStatement:exit': leave,
      'ThrowStatement:exit': leave,
    };
  }

  /** Writes down that `node` is passed here. */
  record(node: Node): void {
    for (const segment of this.#current()) {
      append(this.#events, segment, node);
      append(this.#places, node, segment);
    }
  }

  /** Where `node` is passed: more than one segment in a `finally`, none where no path leads. */
  at(node: Node): readonly Segment[] {
    return this.#places.get(node) ?? [];
  }

  /** The segments that begin at `node`. */
  startingAt(node: Node): readonly Segment[] {
    return this.#starts.get(node) ?? [];
  }

  /** The jumps out of a `try` with a `finally`, in the whole file. */
  get jumps(): readonly Jump[] {
    return this.#jumps;
  }

  /** The first path found on which what `node` makes is lost, or `undefined` if it is taken care of on each. */
  lossOf(node: Node, watch: Watch): Loss | undefined {
    /** One that leaves without a statement: what has a line is of more use. */
    let unseen: Loss | undefined;
    // Reached with such a statement, and without: a `finally` is on both kinds of path.
    const seen = { with: new Set<Segment>(), without: new Set<Segment>() };
    const todo: { readonly segment: Segment; readonly from: number; readonly leaving: Node | undefined }[] =
      [];
    for (const segment of this.at(node)) {
      const from = (this.#events.get(segment)?.indexOf(node) ?? -1) + 1;
      todo.push({ segment, from, leaving: undefined });
    }
    for (let step = todo.pop(); step; step = todo.pop()) {
      const { segment, from } = step;
      const events = this.#events.get(segment) ?? [];
      const event = events
        .slice(from)
        .find((each) => each === node || watch.ends.has(each) || watch.writes.has(each));
      if (event) {
        if (watch.ends.has(event)) continue;
        return { kind: event === node ? 'again' : 'replaced', at: event };
      }
      const leaving = this.#leaving.get(segment) ?? step.leaving;
      if (this.#final.has(segment)) {
        if (leaving) return { kind: 'left', at: leaving };
        unseen = { kind: 'left', at: undefined };
      }
      for (const next of segment.nextSegments) {
        const known = leaving ? seen.with : seen.without;
        if (known.has(next) || watch.impossible.get(segment)?.has(next)) continue;
        known.add(next);
        todo.push({ segment: next, from: 0, leaving });
      }
    }
    return unseen;
  }

  #current(): Set<Segment> {
    return this.#frames.at(-1)?.current ?? new Set();
  }
}

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
