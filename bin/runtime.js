#!/usr/bin/env node
import { resolve } from 'node:path';
import { fail, launch } from './launch.js';

const [script, ...args] = process.argv.slice(2);
if (!script) fail('usage: node bin/runtime.js SCRIPT [ARGUMENTS]', 2);
launch(resolve(script), args, { development: true });
