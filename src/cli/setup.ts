import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Config } from '../config/config.ts';
import { readDocument } from '../config/document.ts';
import { ConfigError } from '../config/error.ts';
import { apply, forget, isSettled, type Prepared, prepare } from '../setup/apply.ts';
import { type Consequences, consequencesOf } from '../setup/commands.ts';
import { utf8 } from '../setup/difference.ts';
import { Disk } from '../setup/disk.ts';
import { CLIENTS, type Client, MODES, type Mode, type Recipe, recipeOf, type Surroundings } from '../setup/recipe.ts';
import { survey, trustStoreOf } from '../setup/survey.ts';
import { Unsuitable } from '../setup/unsuitable.ts';
import { type GatewayOptions, gatewayNamed, identified } from './setup-gateway.ts';
import { type Report, reportText } from './setup-report.ts';

export interface SetupOptions extends GatewayOptions {
  readonly mode?: string | undefined;
  readonly undo?: boolean | undefined;
  readonly apply?: boolean | undefined;
  readonly json?: boolean | undefined;
  /** The directory of an image, instead of this machine. */
  readonly root?: string | undefined;
}

/** Makes a client of this machine pull through the gateway, or says what it would do. Resolves to the exit code. */
export async function setup(
  [name = '', ...more]: readonly string[],
  options: SetupOptions,
  load: () => Promise<Config>,
): Promise<number> {
  const client = CLIENTS.find((known) => known === name);
  const mode = MODES.find((known) => known === (options.mode ?? 'auto'));
  if (client === undefined || more.length > 0)
    throw new ConfigError([`layover setup: expected one of ${CLIENTS.join(', ')}`]);
  if (mode === undefined) throw new ConfigError([`--mode: expected one of ${MODES.join(', ')}`]);
  try {
    return await run(client, mode, options, load);
  } catch (error) {
    if (error instanceof Unsuitable) throw new ConfigError(error.message.split('\n'), { cause: error });
    throw error;
  }
}

async function run(client: Client, mode: Mode, options: SetupOptions, load: () => Promise<Config>): Promise<number> {
  const disk = new Disk(resolve(options.root ?? '/'));
  if (disk.isMachine && process.platform !== 'linux')
    throw new Unsuitable('this is for Linux: the page of the gateway has the steps for macOS and Windows');
  const recipe = options.undo === true ? undefined : await recipeFor(client, mode, options, await load(), disk);
  const prepared = prepare(client, recipe?.edits ?? [], disk, (yaml) => readDocument(yaml).root.value);
  const { plan, journals } = prepared;
  const consequences = consequencesFor(prepared, disk);
  const isIdle = isSettled(prepared) && consequences.run.length === 0;
  const report: Report = { client, recipe, plan, consequences, isIdle, isMachine: disk.isMachine };
  const say = (state: 'planned' | 'applied'): void => {
    if (options.json === true) process.stdout.write(`${JSON.stringify(asJson(report, state))}\n`);
    else process.stdout.write(reportText(report, state));
  };
  if (options.apply !== true) {
    say('planned');
    return 0;
  }
  if (!isIdle && disk.isMachine && process.getuid?.() !== 0)
    throw new Unsuitable('changing this machine takes root: put sudo in front of it');
  const failed: string[] = [];
  if (isIdle && recipe === undefined) forget(client, journals.own?.directories ?? [], disk);
  else if (!isIdle) failed.push(...(await carryOut(prepared, consequences, disk)));
  say('applied');
  for (const line of failed) process.stderr.write(`layover: ${line}\n`);
  return failed.length === 0 ? 0 : 1;
}

/** Resolves to what failed. */
async function carryOut(prepared: Prepared, { run }: Consequences, disk: Disk): Promise<readonly string[]> {
  const failed: string[] = [];
  await apply(prepared, disk, async () => {
    for (const command of disk.isMachine ? run : []) failed.push(...(await failureOf(command)));
    return failed.length === 0;
  });
  return failed;
}

/** What a plan makes necessary; after a run that did not get to its end, also what that one would have. */
function consequencesFor({ plan, journals: { own } }: Prepared, disk: Disk): Consequences {
  const touched = plan.changes.map(({ path, to }) => ({ path, isGone: to === undefined }));
  const before = own?.finished === false ? own.entries.map(({ path }) => ({ path, isGone: !disk.has(path) })) : [];
  return consequencesOf([...touched, ...before], trustStoreOf(disk), (path) => disk.has(path));
}

/** The address and the roots of the gateway are only asked for where they are needed. */
async function recipeFor(
  client: Client,
  mode: Mode,
  options: SetupOptions,
  config: Config,
  disk: Disk,
): Promise<Recipe> {
  const found = await surroundings(client, disk);
  const gateway = gatewayNamed(options, config);
  if (client === 'buildkit' && /^(127\.|localhost$|\[::1\])/.test(gateway.host))
    throw new Unsuitable(
      `a builder in a container cannot reach ${gateway.host}: add --gateway HOST, as other machines call this one`,
    );
  const draft = recipeOf(client, mode, gateway, found);
  if (!draft.edits.some(({ path }) => path === '/etc/hosts')) return draft;
  return recipeOf(client, mode, await identified(gateway, options, config), found);
}

async function surroundings(client: Client, disk: Disk): Promise<Surroundings> {
  const told = async (asked: Client, command: string): Promise<string | undefined> =>
    client === asked && disk.isMachine ? outputOf(command) : undefined;
  return survey(disk, {
    dockerDriver: await told('docker', "docker info --format '{{.DriverStatus}}'"),
    containerdVersion: await told('containerd', 'containerd --version'),
  });
}

const PATIENCE = 10_000;

/** Undefined when the command is not there, fails or does not end. */
async function outputOf(command: string): Promise<string | undefined> {
  const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'ignore'], timeout: PATIENCE });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return code === 0 ? output : undefined;
}

async function failureOf(command: string): Promise<readonly string[]> {
  const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [, complaint, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return code === 0 ? [] : [`${command} failed (exit code ${code}); run this again once it works\n${complaint.trim()}`];
}

function asJson({ client, recipe, plan, consequences, isIdle }: Report, state: 'planned' | 'applied'): object {
  const changes = plan.changes.map(({ path, from, to }) => ({
    path,
    action: from === undefined ? 'create' : to === undefined ? 'remove' : 'change',
    ...(from !== undefined && { before: utf8(from) }),
    ...(to !== undefined && { after: utf8(to) }),
  }));
  const { way, whenDown, left = [], remarks = [] } = recipe ?? {};
  return {
    client,
    state: isIdle ? 'unchanged' : state,
    way,
    changes,
    run: consequences.run,
    left: [...left, ...consequences.left],
    remarks: [...remarks, ...plan.remarks],
    whenDown,
  };
}
