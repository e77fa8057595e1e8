import assert from 'node:assert/strict';
import { channel } from 'node:diagnostics_channel';
import { suite, test } from 'node:test';
import { type EventMessage, Events } from '../../src/base/events.js';

const listening = { host: '127.0.0.1', port: 8080 };

suite('events', () => {
  test('a listener hears the events of its own proxy, with its name on them', () => {
    const one = new Events('one');
    const other = new Events('other');
    const heard: EventMessage<'listening'>[] = [];
    one.on('listening', (message) => heard.push(message));
    one.emit('listening', listening);
    other.emit('listening', { host: '::1', port: 1 });
    one.emit('connection.open', { connection: 1, address: '127.0.0.1', port: 5 });
    assert.deepEqual(heard, [{ ...listening, proxy: 'one' }]);
    one.close();
  });

  test('tracing tools hear every proxy on the channel of the event', () => {
    const heard: unknown[] = [];
    const listen = (message: unknown): void => void heard.push(message);
    const traced = channel('sallyport:listening');
    traced.subscribe(listen);
    new Events('one').emit('listening', listening);
    new Events('other').emit('listening', listening);
    traced.unsubscribe(listen);
    assert.deepEqual(heard, [
      { ...listening, proxy: 'one' },
      { ...listening, proxy: 'other' },
    ]);
  });

  test('has says whether anybody listens', () => {
    const events = new Events('one');
    assert.equal(events.has('failure'), false);
    const stop = events.on('failure', () => undefined);
    assert.equal(events.has('failure'), true);
    assert.equal(events.has('listening'), false);
    stop();
    assert.equal(events.has('failure'), false);
  });

  test('a listener that was removed hears no more and leaves no trace; removing twice is harmless', () => {
    const events = new Events('one');
    const heard: string[] = [];
    const stopA = events.on('listening', () => heard.push('a'));
    events.on('listening', () => heard.push('b'));
    stopA();
    stopA();
    events.emit('listening', listening);
    assert.deepEqual(heard, ['b']);
    events.close();
    assert.equal(channel('sallyport:listening').hasSubscribers, false);
  });

  test('close removes the listeners of one proxy only', () => {
    const one = new Events('one');
    const other = new Events('other');
    let heard = 0;
    one.on('listening', () => assert.fail('heard after close'));
    one.on('failure', () => assert.fail('heard after close'));
    other.on('listening', () => (heard += 1));
    one.close();
    one.emit('listening', listening);
    other.emit('listening', listening);
    assert.equal(heard, 1);
    one.close();
    other.close();
    assert.equal(other.has('listening') || other.has('failure'), false);
  });

  test('the same function may listen twice, and each is removed by itself', () => {
    const events = new Events('one');
    let heard = 0;
    const listen = (): void => void (heard += 1);
    const stop = events.on('listening', listen);
    events.on('listening', listen);
    events.emit('listening', listening);
    stop();
    events.emit('listening', listening);
    assert.equal(heard, 3);
    events.close();
  });
});
