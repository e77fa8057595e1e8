import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { suite, test } from 'node:test';
import { isOwnAddress, isOwnSocket } from '../../src/connect/loop.js';
import { parseConnectTarget } from '../../src/connect/target.js';

const interfaces = (): string[] => ['127.0.0.1', '::1', '192.0.2.10', '2001:DB8::10', 'fe80::1%eth0'];
const loopback4 = '127.0.0.1';

type Row = readonly [listening: string, destination: string, own: boolean];
const rows: readonly Row[] = [
  [loopback4, '127.0.0.1:8080', true],
  [loopback4, '127.0.0.1:8081', false],
  [loopback4, 'localhost:8080', true],
  [loopback4, 'LocalHost.:8080', true],
  [loopback4, 'proxy.localhost:8080', true],
  [loopback4, 'notlocalhost:8080', false],
  [loopback4, 'localhost.example:8080', false],
  [loopback4, '[::ffff:127.0.0.1]:8080', true],
  [loopback4, '[0:0:0:0:0:ffff:7f00:1]:8080', true],
  [loopback4, '0.0.0.0:8080', true],
  [loopback4, '[::ffff:0.0.0.0]:8080', true],
  [loopback4, '[::1]:8080', false],
  [loopback4, '127.0.0.2:8080', false],
  [loopback4, '192.0.2.10:8080', false],
  [loopback4, 'example.com:8080', false],
  ['::1', '[::1]:8080', true],
  ['::1', '[0:0::1]:8080', true],
  ['::1', 'localhost:8080', true],
  ['::1', '[::]:8080', true],
  ['::1', '127.0.0.1:8080', false],
  ['127.0.0.2', '127.0.0.2:8080', true],
  ['127.0.0.2', 'localhost:8080', false],
  ['127.0.0.2', '0.0.0.0:8080', false],
  ['0.0.0.0', '127.0.0.1:8080', true],
  ['0.0.0.0', '127.200.3.4:8080', true],
  ['0.0.0.0', '0.0.0.0:8080', true],
  ['0.0.0.0', 'localhost:8080', true],
  ['0.0.0.0', '192.0.2.10:8080', true],
  ['0.0.0.0', '[::ffff:192.0.2.10]:8080', true],
  ['0.0.0.0', '192.0.2.11:8080', false],
  ['0.0.0.0', '[::1]:8080', false],
  ['0.0.0.0', '[2001:db8::10]:8080', false],
  ['::', '127.0.0.1:8080', true],
  ['::', '[::1]:8080', true],
  ['::', '[::]:8080', true],
  ['::', '0.0.0.0:8080', true],
  ['::', '192.0.2.10:8080', true],
  ['::', '[2001:db8::10]:8080', true],
  ['::', '[2001:db8:0::10]:8080', true],
  ['::', '[fe80::1]:8080', true],
  ['::', '[2001:db8::11]:8080', false],
  ['::', '[::2]:8080', false],
  ['192.0.2.10', '192.0.2.10:8080', true],
  ['192.0.2.10', '[::ffff:c000:20a]:8080', true],
  ['192.0.2.10', 'localhost:8080', false],
  ['::ffff:192.0.2.10', '192.0.2.10:8080', true],
  ['2001:db8::10', '[2001:db8::10]:8080', true],
];

suite('is the destination this proxy?', () => {
  for (const [address, target, own] of rows) {
    test(`listening on ${address}: ${target} is ${own ? 'us' : 'not us'}`, () => {
      assert.equal(isOwnAddress(parseConnectTarget(target), { address, port: 8080 }, interfaces), own);
    });
  }

  test('the interfaces are not asked for where the port is another', () => {
    const never = (): string[] => assert.fail('asked');
    const local = { address: '0.0.0.0', port: 8080 };
    assert.equal(isOwnAddress({ host: '192.0.2.10', port: 80 }, local, never), false);
    assert.equal(isOwnSocket('192.0.2.10', 80, local, never), false);
  });

  test('a connected socket tells by its remote address', () => {
    const local = { address: '0.0.0.0', port: 8080 };
    assert.equal(isOwnSocket('192.0.2.10', 8080, local, interfaces), true);
    assert.equal(isOwnSocket('::ffff:192.0.2.10', 8080, local, interfaces), true);
    assert.equal(isOwnSocket('192.0.2.11', 8080, local, interfaces), false);
    assert.equal(isOwnSocket('fe80::1%eth1', 8080, { address: '::', port: 8080 }, interfaces), true);
    assert.equal(isOwnSocket(undefined, undefined, local, interfaces), false);
    assert.equal(isOwnSocket(undefined, 8080, local, interfaces), false);
  });

  test('knows a real socket that came back to its own server, with the interfaces of this machine', async () => {
    const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { address, port } = server.address() as AddressInfo;
    const socket = connect(port, address);
    await once(socket, 'connect');
    assert.equal(isOwnSocket(socket.remoteAddress, socket.remotePort, { address, port }), true);
    assert.equal(isOwnSocket(socket.remoteAddress, socket.remotePort, { address: '0.0.0.0', port }), true);
    assert.equal(isOwnSocket(socket.localAddress, socket.localPort, { address, port }), false);
    socket.destroy();
    server.close();
    await once(server, 'close');
  });
});
