import { createHash } from 'node:crypto';
import type { Gateway } from '../../src/setup/gateway.ts';

const hub = ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'auth.docker.io'];

/** A gateway for Docker Hub and one more registry. */
export const gateway: Gateway = {
  host: 'gateway.lan',
  port: 5000,
  address: '192.0.2.10',
  registries: [
    { name: 'docker.io', namespace: 'docker.io', server: 'https://registry-1.docker.io', hosts: hub },
    { name: 'ghcr.io', namespace: 'ghcr.io', server: 'https://ghcr.io', hosts: ['ghcr.io'] },
  ],
  roots: [
    {
      fingerprint: (createHash('sha256').update('layover').digest('hex').toUpperCase().match(/../g) ?? []).join(':'),
      pem: '-----BEGIN CERTIFICATE-----\nbGF5b3Zlcg==\n-----END CERTIFICATE-----\n',
    },
  ],
};
