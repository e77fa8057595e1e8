/** A listener that echoes, in a process of its own: for tests that take its file descriptors away. */
import { Context } from '../../src/base/context.js';
import { DeadlineWheel } from '../../src/base/deadlines.js';
import { Ledger } from '../../src/base/ledger.js';
import { Listener } from '../../src/listener/listener.js';

const context = Context.root(new DeadlineWheel());
const listener = new Listener({
  context,
  ledger: new Ledger(),
  limit: 1000,
  onConnection: (socket) => socket.pipe(socket),
  // With the reserve descriptor of libuv lost, accepts fail aloud.
  onFailure: (error) => process.stderr.write(`${error.message}\n`),
});
const { port } = await listener.listen({ host: '127.0.0.1', port: 0 });
process.stdout.write(`${port}\n`);
process.stdin.resume();
process.stdin.on('end', () => {
  void listener.stop();
  listener.destroyConnections();
  context.close();
});
