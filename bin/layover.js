#!/usr/bin/env node
import { join } from 'node:path';
import { compareVersions, fail, IS_CLONE, launch, ROOT, securityFloor } from './launch.js';

/** No way to the prototype of everything, no inspector on SIGUSR1, no native add-ons. */
const HARDENING = ['--disable-proto=delete', '--disable-sigusr1', '--no-addons'];

/**
 * MiB. What comes over TLS comes in buffers that die at once; in a large young generation thousands of them wait for
 * their collection, and the memory of each next one is cold.
 */
const YOUNG_GENERATION = ['--max-semi-space-size=4'];

const args = process.argv.slice(2);

if (process.env.NODE_TLS_REJECT_UNAUTHORIZED === '0') {
  fail('NODE_TLS_REJECT_UNAUTHORIZED=0 would accept any upstream; unset it and name the CA in upstreams.<name>.ca', 2);
}

const script = IS_CLONE ? join('src', 'cli', 'main.ts') : join('dist', 'cli', 'main.js');

launch(join(ROOT, script), args, {
  flags: [...HARDENING, ...YOUNG_GENERATION],
  onRuntime(version) {
    const floor = securityFloor('node');
    if (!/^(?:start$|--config)/.test(args[0] ?? 'start') || !floor || compareVersions(version, floor.floor) >= 0)
      return;
    console.error(`layover: warning: Node.js ${version} is below ${floor.floor}, which fixes ${floor.reason}`);
  },
});
