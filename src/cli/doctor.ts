import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/error.ts';
import { parseDuration } from '../config/grammar.ts';
import { bounded, patience } from '../doctor/bounded.ts';
import { type Check, type Finding, problem } from '../doctor/finding.ts';
import { clientChecks, type Gateway } from './doctor-client.ts';
import { askUpstreams } from './doctor-egress.ts';
import { gatewayChecks } from './doctor-gateway.ts';
import { programName } from './program.ts';

export interface DoctorOptions {
  /** `HOST[:PORT]` of a gateway elsewhere: this machine is a client of it. */
  readonly gateway?: string | undefined;
  readonly json?: boolean | undefined;
  /** Where the files of the machine lie; `/` when absent. */
  readonly root?: string | undefined;
  /** How long one question may take, as the configuration spells durations. */
  readonly timeout?: string | undefined;
}

/** A finding, and the check that has it. */
type Told = Finding & { readonly check: string };

const ROOT = join(import.meta.dirname, '..', '..');
/** One check asks some after each other. */
const QUESTIONS = 4;

/** Looks at this machine and its network, and ends the process: with 1 when something is broken. */
export async function doctor(load: () => Promise<Config>, options: DoctorOptions): Promise<never> {
  const { json = false, root = '/' } = options;
  const gateway = options.gateway === undefined ? undefined : gatewayAt(options.gateway);
  patience.question = durationOf(options.timeout) ?? patience.question;
  const told: Told[] = [];
  const tell = (findings: readonly Told[]): void => {
    told.push(...findings);
    if (!json) process.stdout.write(findings.map(textOf).join(''));
  };
  const config = await load().catch((error: unknown) => {
    if (!(error instanceof ConfigError)) throw error;
    tell(error.problems.map(mistake));
    return undefined;
  });
  if (config !== undefined) {
    const checks =
      gateway === undefined
        ? gatewayChecks(config, root, (roots) => askUpstreams(config, process.env, roots))
        : clientChecks(config, gateway, root);
    const running = checks.map(run);
    // On a terminal somebody waits; elsewhere the same order each time is worth more.
    if (process.stdout.isTTY) await Promise.all(running.map(async (one) => tell(await one)));
    else for (const one of running) tell(await one);
  }
  await write(json ? `${JSON.stringify(told.map(row))}\n` : summaryOf(told));
  // Questions that nobody waits for any more, to name servers and disks that hang, would keep the process.
  process.exit(told.some(({ status }) => status === 'problem') ? 1 : 0);
}

function write(text: string): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(text, () => resolve());
  });
}

function durationOf(text: string | undefined): number | undefined {
  const milliseconds = text === undefined ? undefined : parseDuration(text);
  if (text === undefined || (milliseconds !== undefined && milliseconds > 0)) return milliseconds;
  throw new ConfigError([`--timeout: expected a duration such as 20s, got ${JSON.stringify(text)}`]);
}

function gatewayAt(text: string): Gateway {
  if (isIP(text) === 6) return { typed: text, host: text };
  const [, host, port] = /^(\[[\da-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/i.exec(text) ?? [];
  if (host === undefined || Number(port ?? 0) > 65_535)
    throw new ConfigError([
      `--gateway: expected HOST or HOST:PORT such as gateway.lan:5000, got ${JSON.stringify(text)}`,
    ]);
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return { typed: text, host: bare, ...(port !== undefined && { port: Number(port) }) };
}

function mistake(line: string): Told {
  const why = 'the gateway does not start';
  return {
    check: 'configuration',
    ...problem(line, why, 'mend this line: docs/configuration.md says what each key takes'),
  };
}

async function run({ name, find }: Check): Promise<readonly Told[]> {
  const late = problem('took too long', 'something that it asks hangs', 'run layover doctor again');
  const found = await bounded(find().catch(failed), [late], QUESTIONS * patience.question);
  return found.map((finding) => ({ check: name, ...finding, ...('fix' in finding && { fix: typed(finding.fix) }) }));
}

/** As somebody types it here, for commands that are for this machine; what changes it takes its administrator. */
function typed(fix: string): string {
  const program = programName({ root: ROOT, cwd: process.cwd(), path: process.env.PATH ?? '', has: existsSync });
  return fix
    .replace(/(^|; )(?:sudo )?layover (?=setup |ca export )/g, `$1sudo ${program} `)
    .replace(/: layover (?=names )/g, `: ${program} `);
}

function failed(error: unknown): readonly Finding[] {
  const message = error instanceof Error ? error.message : String(error);
  return [
    problem(`cannot be looked at: ${message}`, 'it may be right or wrong', 'run it as root: sudo layover doctor'),
  ];
}

const MARKS = { ok: 'ok     ', warning: 'warning', problem: 'PROBLEM' } as const;

function textOf(told: Told): string {
  const head = `${MARKS[told.status]} ${told.check.padEnd(13)} ${told.message}\n`;
  return told.status === 'ok' ? head : `${head}        why: ${told.why}\n        fix: ${told.fix}\n`;
}

function row({ check, status, message, ...rest }: Told): object {
  return { check, status, message, ...rest };
}

function summaryOf(told: readonly Told[]): string {
  const count = (status: Finding['status'], noun: string): string => {
    const number = told.filter((one) => one.status === status).length;
    return `${number} ${noun}${number === 1 ? '' : 's'}`;
  };
  const checks = new Set(told.map(({ check }) => check)).size;
  return `${checks} checks: ${count('problem', 'problem')}, ${count('warning', 'warning')}\n`;
}
