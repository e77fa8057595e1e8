/** One leaf per parent domain, by option. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import tls from 'node:tls';
import { Scene } from '../support/scene.js';
import { later } from '../support/stage.js';

describe('wildcardLeaves', () => {
  test('hosts of one parent share a leaf; the others have their own; no session crosses', async (t) => {
    const scene = await Scene.open(t, { wildcardLeaves: true });
    const made: string[] = [];
    scene.proxy.on('certificate.made', ({ host }) => made.push(host));
    const handshake = async (host: string, session?: Buffer) => {
      const tunnel = await scene.tunnel(`${host}:443`);
      return new Promise<{ names: string; serial: string; reused: boolean; session: Buffer }>(
        (resolve, reject) => {
          const options = {
            socket: tunnel.socket,
            servername: host,
            ca: scene.proxy.ca.pem,
            maxVersion: 'TLSv1.2',
          } as const;
          const socket = tls.connect({ ...options, ...(session && { session }) });
          later(t, () => socket.destroy());
          socket.once('error', reject).once('secureConnect', () => {
            const { subjectaltname = '', serialNumber: serial } = socket.getPeerCertificate();
            const reused = socket.isSessionReused();
            resolve({
              names: subjectaltname,
              serial,
              reused,
              session: socket.getSession() ?? Buffer.alloc(0),
            });
          });
        },
      );
    };
    const first = await handshake('a.example.com');
    const second = await handshake('b.example.com', first.session);
    assert.deepEqual([first.names, second.names], ['DNS:*.example.com', 'DNS:*.example.com']);
    assert.equal(second.serial, first.serial);
    assert.equal(second.reused, false, 'a session of one host resumed under another');
    assert.equal((await handshake('a.example.com', first.session)).reused, true);
    assert.equal((await handshake('example.com')).names, 'DNS:example.com');
    assert.equal((await handshake('a_b.example.com')).names, 'DNS:a_b.example.com');
    assert.deepEqual(made, ['*.example.com', 'example.com', 'a_b.example.com']);
  });
});
