/** nginx as a floor: TLS ended with a given certificate, TLS begun to the origin, kept alive on both sides. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../lib/launch.mjs';
import { DIRECT_MODES, missing, output } from './programs.mjs';

/** @type {import('./index.mjs').Peer} */
export const nginx = {
  name: 'nginx',
  about: 'TLS to TLS, one certificate, no CONNECT, bodies streamed: intercepts nothing',
  modes: DIRECT_MODES,
  available: () => missing('nginx', ['-v'], 'nginx-light'),
  version: () => /nginx\/(\S+)/.exec(output('nginx', ['-v']) ?? '')?.[1] ?? 'unknown',
  async start({ dir, upstreamCa, caCert, leafCert, leafKey, originPort, launch }) {
    const port = await freePort();
    const config = join(dir, 'nginx.conf');
    // Workers of a root's nginx would be another user, who cannot read this directory.
    const user = process.getuid?.() === 0 ? 'user root;' : '';
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    writeFileSync(
      config,
      `${user}
daemon off;
pid ${dir}/nginx.pid;
error_log stderr error;
worker_processes auto;
events { worker_connections 9000; }
http {
  access_log off;
  ${temporary.map((kind) => `${kind}_temp_path ${dir}/${kind};`).join('\n  ')}
  keepalive_requests 1000000000;
  keepalive_timeout 60s;
  client_max_body_size 0;
  upstream origin {
    server 127.0.0.1:${originPort};
    keepalive 1024;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${leafCert};
    ssl_certificate_key ${leafKey};
    ssl_protocols TLSv1.3;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    proxy_ssl_trusted_certificate ${upstreamCa};
    proxy_ssl_verify on;
    proxy_ssl_server_name on;
    proxy_ssl_name localhost;
    proxy_ssl_protocols TLSv1.3;
    location / { proxy_pass https://origin; }
    # A buffer that is not full would wait for the rest, which in this mode never comes.
    location = /hold { proxy_pass https://origin; proxy_buffering off; }
  }
}
`,
    );
    const program = await launch('nginx', ['-e', 'stderr', '-p', dir, '-c', config], { ready: port });
    const caPem = readFileSync(caCert, 'utf8');
    return { pid: program.pid, targetUrl: `https://127.0.0.1:${port}`, caPem, stop: program.stop };
  },
};
