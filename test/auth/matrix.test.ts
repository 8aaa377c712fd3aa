import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import type { ClientResponse } from '../support/client.ts';
import { digestOf, fromBytes } from '../support/content.ts';
import type { ProfileName } from '../support/upstream/profile.ts';
import { PROFILES } from '../support/upstream/profiles.ts';
import { ADA, DOORS, type Door, inParallel, METHODS, type Method, type Piece, piecesOf, toldBy } from './scene.ts';
import { IMAGES, NAMES, type Somebody, Stage } from './stage.ts';

/** A digest as good as any, of nothing at all. */
const NOTHING = digestOf(fromBytes('nobody has this'));

interface Cell extends Somebody {
  readonly door: Door;
  readonly method: Method;
  readonly repository: string;
  readonly piece: Piece;
}

/** Every way to ask for ada's image: in its place, and under other repositories' names, where it is not. */
function cells(everybody: readonly Somebody[]): Cell[] {
  const pieces = piecesOf(IMAGES.private);
  const digests = pieces.filter(({ digest, bytes }) => digest !== undefined && bytes !== undefined);
  const places = [
    ...pieces.map((piece) => ({ repository: NAMES.private, piece })),
    ...digests.map((piece) => ({ repository: NAMES.vault, piece })),
    ...digests.map((piece) => ({ repository: NAMES.public, piece })),
  ];
  return everybody.flatMap((somebody) =>
    DOORS.filter((door) => door === 'transparent' || OF_OUR_OWN_NAMES.has(somebody.who)).flatMap((door) =>
      METHODS.flatMap((method) => places.map((place) => ({ ...somebody, ...place, door, method }))),
    ),
  );
}

/** Away from CI one cell in three is asked, others each time; LAYOVER_MATRIX=SEED asks the same again, `all` every one. */
const CHOICE = process.env.LAYOVER_MATRIX ?? (process.env.CI === undefined ? String(Date.now() % 1000) : 'all');

function isChosen(_: Cell, index: number): boolean {
  return CHOICE === 'all' || (index + Number(CHOICE)) % 3 === 0;
}

/** Our own names look at no credential: whose they are makes no difference. */
const OF_OUR_OWN_NAMES = new Set(['nobody', 'ada', 'ada, by a token of ours']);

/** What there is to compare a cell with: something of the same kind that this gateway never had. */
function unheardOf({ repository, piece }: Cell, isHidden: boolean): { repository: string; rest: string } {
  const rest = piece.digest === undefined ? piece.rest : piece.rest.replace(piece.digest, NOTHING);
  if (repository === NAMES.public) return { repository, rest };
  if (isHidden) return { repository: NAMES.absent, rest };
  return repository === NAMES.private ? { repository: NAMES.unpulled, rest: piece.rest } : { repository, rest };
}

function mayRead({ door, mayRead, repository }: Cell): boolean {
  return mayRead && door === 'transparent' && repository === NAMES.private;
}

function nameOf({ who, door, method, repository, piece }: Cell, { when }: Round): string {
  return `${when}: ${who}, ${door}, ${method}, ${piece.what} of ${repository}`;
}

interface Round {
  readonly when: string;
  readonly isUp: boolean;
  /** Private and absent look the same to everybody; else to those without a right to anything. */
  readonly isHidden: boolean;
  /** What was told of things that are not there. */
  readonly unheardOf: Map<string, Promise<ClientResponse>>;
}

/** What is wrong with the answer to one cell; `undefined` when nothing is. */
async function judge({ registry }: Stage, round: Round, cell: Cell): Promise<string | undefined> {
  const { door, method, repository, piece, authorization } = cell;
  const answer = await registry.ask(door, method, repository, piece.rest, authorization);
  const told = toldBy(answer, [repository, piece.digest]);
  if (mayRead(cell)) {
    const isPart = method === 'GET with Range' && piece.rest.startsWith('blobs/');
    const whole = method === 'HEAD' ? Buffer.alloc(0) : piece.bytes;
    const expected = isPart ? whole?.subarray(1, 6) : whole;
    const canAsk = round.isUp && cell.isOurs !== true;
    const isAbsent = piece.what === 'referrers' && PROFILES[registry.profile].referrers !== 'api';
    const status = isAbsent ? 404 : isPart ? 206 : 200;
    const isList = piece.bytes === undefined && (canAsk || answer.headers.warning !== undefined);
    const isRight = answer.status === status && (isList || expected?.equals(answer.body) === true);
    return isRight ? undefined : `${nameOf(cell, round)}: ${JSON.stringify(told)}`;
  }
  const other = unheardOf(cell, round.isHidden);
  const key = [cell.who, door, method, other.repository, other.rest].join(' ');
  const asked = round.unheardOf.get(key) ?? registry.ask(door, method, other.repository, other.rest, authorization);
  round.unheardOf.set(key, asked);
  const expected = toldBy(await asked, [other.repository, piece.digest && other.rest.split('/').at(-1)]);
  const isRight = answer.status >= 400 && isDeepStrictEqual(told, expected);
  return isRight ? undefined : `${nameOf(cell, round)}: ${JSON.stringify(told)} instead of ${JSON.stringify(expected)}`;
}

for (const [profile, accounts] of [
  ['hub', false],
  ['ghcr', false],
  ['ghcr', true],
  ['basic', false],
] satisfies [ProfileName, boolean][]) {
  // A plain registry tells its users what is forbidden and what is absent; an absent one is no measure there.
  const isHidden = profile !== 'basic';
  // Registries that are down are all alike.
  const isWhole = profile === 'hub' || profile === 'basic';
  const where = `${profile}${accounts ? ', whose accounts here may read it,' : ''}`;
  test(`whoever may not read a private repository of ${where} gets no byte and no hint of it`, async (t) => {
    t.timeout(180_000);
    await using stage = await Stage.start(profile, {}, accounts);
    const { registry, upstream, clock } = stage;
    await stage.fill(t);
    await stage.outlive();
    let size = 0;
    const round = async (when: string, isUp: boolean, ada: boolean): Promise<void> => {
      const all = cells(await stage.everybody(ada)).filter(isChosen);
      const wrong: string[] = [];
      const asked = { when, isUp, isHidden: isHidden || !isUp, unheardOf: new Map() };
      await inParallel(all, async (cell) => {
        wrong.push(...[(await judge(stage, asked, cell)) ?? []].flat());
      });
      t.deepEqual(wrong, []);
      size += all.length;
    };
    await round('upstream up', true, true);
    if (isWhole) {
      await upstream.down();
      await round('upstream down', false, true);
      await registry.gateway.restart();
      await round('upstream down, after a restart', false, true);
      await upstream.up();
      await registry.gateway.restart();
    }
    upstream.repositories.open(NAMES.private).access = [];
    upstream.repositories.open(NAMES.unpulled).access = [];
    upstream.expireTokens();
    clock.advance(301);
    const ada = await stage.shown(ADA);
    t.true((await registry.get(NAMES.private, 'manifests/latest', ada)).status >= 400);
    await round('revoked', true, false);
    if (isWhole) {
      await upstream.down();
      await round('revoked, upstream down', false, false);
      await registry.gateway.restart();
      await round('revoked, upstream down, after a restart', false, false);
    }
    t.log(
      `${size} requests for private content (LAYOVER_MATRIX=${CHOICE}), each compared with one for something that is not there`,
    );
  });
}
