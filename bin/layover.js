#!/usr/bin/env node
import { join } from 'node:path';
import { compareVersions, fail, launch, ROOT, securityFloor } from './launch.js';

/** No way to the prototype of everything, no inspector on SIGUSR1, no native add-ons. */
const HARDENING = ['--disable-proto=delete', '--disable-sigusr1', '--no-addons'];

const args = process.argv.slice(2);

if (process.env.NODE_TLS_REJECT_UNAUTHORIZED === '0') {
  fail('NODE_TLS_REJECT_UNAUTHORIZED=0 would accept any upstream; unset it and name the CA in upstreams.<name>.ca', 2);
}

launch(join(ROOT, 'src', 'cli', 'main.ts'), args, {
  flags: HARDENING,
  onRuntime(version) {
    const floor = securityFloor('node');
    if (args[0] !== 'start' || !floor || compareVersions(version, floor.floor) >= 0) return;
    console.error(`layover: warning: Node.js ${version} is below ${floor.floor}, which fixes ${floor.reason}`);
  },
});
