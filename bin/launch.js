// Plain JavaScript for any Node from 18 on: this runs before the right Node is known. See docs/decisions/0001-launcher-and-runtime.md.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** Whether this is a clone, with its sources. A package has them as JavaScript in `dist/`. */
export const IS_CLONE = existsSync(join(ROOT, 'src'));

const NEEDED = '26.0.0';
const WINDOWS = process.platform === 'win32';
const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'];

/**
 * Runs a script of the project under the newest Node ≥ 26 there is, after installing what is missing. Ends this process
 * with the script's exit code or signal.
 * @param {string} script absolute path
 * @param {string[]} args
 * @param {{ flags?: string[], development?: boolean, onRuntime?: (version: string) => void }} options `flags` for
 *   Node; `development`: needs the development dependencies too; `onRuntime` learns the version that will run
 */
export function launch(script, args, { flags = [], development = false, onRuntime = () => {} } = {}) {
  const present = runtimes();
  if (isIncomplete(development || present.length === 0)) install();
  const runtime = runtimes()[0];
  if (!runtime)
    fail(`this needs Node.js 26 or newer, and this is ${process.version}.\n${IS_CLONE ? IN_CLONE : IN_PACKAGE}`);
  onRuntime(runtime.version);
  become(runtime.path, ['--disable-warning=ExperimentalWarning', ...flags, script, ...args], environment());
}

/** @returns {never} */
export function fail(message, code = 1) {
  console.error(`layover: ${message}`);
  process.exit(code);
}

const IN_CLONE = `The copy that npm installs for the project is not there. Either install Node.js 26 (https://nodejs.org), or let npm
fetch it: npm rebuild node --ignore-scripts=false`;

const IN_PACKAGE = `Install Node.js 26 (https://nodejs.org), or take the archive of Layover, which brings its own (docs/install.md).`;

/** Compares two versions such as `26.12.1`; negative when `a` is older. */
export function compareVersions(a, b) {
  const [left, right] = [a, b].map((version) => version.split('-')[0].split('.').map(Number));
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}

/** Every Node ≥ 26 within reach, newest first: this one, the one npm runs on (npm puts ours before it), and ours. */
function runtimes() {
  const own = join(ROOT, 'node_modules', 'node', 'bin', WINDOWS ? 'node.exe' : 'node');
  const candidates = [
    { path: process.execPath, version: process.versions.node },
    {
      path: process.env.npm_node_execpath,
      version: / node\/v(\S+)/.exec(process.env.npm_config_user_agent ?? '')?.[1],
    },
    { path: own, version: readJson('node_modules/node/package.json')?.version },
  ];
  return candidates
    .filter(({ path, version }) => path && version && existsSync(path) && compareVersions(version, NEEDED) >= 0)
    .sort((a, b) => compareVersions(b.version, a.version));
}

/** Whether the lock file asks for a package that npm has not installed in that very version. */
function isIncomplete(development) {
  const locked = readJson('package-lock.json')?.packages;
  if (!locked) return false;
  const installed = readJson('node_modules/.package-lock.json')?.packages ?? {};
  return Object.entries(locked).some(([path, { version, dev, optional, devOptional }]) => {
    if (path === '' || (!development && (dev || devOptional))) return false;
    const found = installed[path];
    return found ? found.version !== version : !optional;
  });
}

function install() {
  console.error('layover: installing the packages of the project (npm install), this takes a moment …');
  // Not `npm ci`: it refuses a lock file that lacks other platforms' optional packages. `--no-save` leaves the lock as it is.
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--include=dev', '--loglevel=error'];
  const options = { cwd: ROOT, stdio: ['ignore', 2, 2], shell: WINDOWS };
  const { status, error } = spawnSync('npm', args, options);
  if (error || status !== 0) fail(`npm install failed${error ? `: ${error.message}` : ''}`);
}

function environment() {
  const threads = Math.max(16, 4 * cpus().length);
  return {
    // Warm reads must not queue behind the fsyncs of commits.
    UV_THREADPOOL_SIZE: String(Math.min(threads, 1024)),
    // Saves more than half of the time until the first request is answered.
    NODE_COMPILE_CACHE: join(ROOT, 'node_modules', '.cache', 'compile'),
    ...process.env,
  };
}

/** Replaces this process where Node can; elsewhere runs a child that gets our signals and whose end becomes ours. */
function become(path, args, env) {
  if (process.execve && !WINDOWS) {
    process.removeAllListeners('warning');
    process.execve(path, [path, ...args], env);
  }
  const child = spawn(path, args, { env, stdio: 'inherit' });
  for (const signal of FORWARDED) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the child as well; twice would mean: hurry.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on('error', (error) => fail(`cannot run ${path}: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (!signal) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    // Signals whose default is to be ignored, or that Windows lacks, leave us here.
    setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 100);
  });
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
  } catch {
    return undefined;
  }
}

/** The floor of a package in security-floor.json. */
export function securityFloor(name) {
  return readJson('security-floor.json')?.[name];
}
