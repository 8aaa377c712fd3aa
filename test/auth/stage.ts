import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { NAMESPACE, TestGateway } from '../support/gateway.ts';
import type { ProfileName } from '../support/upstream/profile.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { ADA, BOB, basic, Clock, EVE, type Piece, piecesOf, Registry, smallImage, USERS } from './scene.ts';

/** Names of one length. `private` is ada's, `vault` is bob's, and each pulled it; `unpulled` is ada's and nobody did; `absent` is not there. */
export const NAMES = {
  private: 'acme/personal',
  unpulled: 'acme/unpulled',
  absent: 'acme/absented',
  vault: 'acme/treasure',
  public: 'library/public',
} as const;
export const IMAGES = { private: smallImage('private'), vault: smallImage('vault'), public: smallImage('public') };

/** Who asks, with what they show; `mayRead`: what ada may. */
export interface Somebody {
  readonly who: string;
  readonly authorization: string | undefined;
  readonly mayRead: boolean;
  /** The token is the gateway's own, and no upstream can be asked on its behalf. */
  readonly isOurs?: boolean;
}

/** A registry whose content was all cached by those who may read it, and everybody who might want some of it. */
export class Stage implements AsyncDisposable {
  readonly registry: Registry;
  readonly upstream: FakeUpstream;
  readonly clock: Clock;
  readonly #elsewhere: FakeUpstream;
  readonly #issuesTokens: boolean;
  readonly #dir: string;
  #expired: string | undefined;

  private constructor(registry: Registry, upstream: FakeUpstream, elsewhere: FakeUpstream, clock: Clock, dir: string) {
    this.#dir = dir;
    this.registry = registry;
    this.upstream = upstream;
    this.clock = clock;
    this.#elsewhere = elsewhere;
    this.#issuesTokens = registry.profile !== 'basic';
  }

  /** With `accounts`, the gateway has those of ada and bob, which serve nobody. */
  static async start(
    profile: ProfileName,
    config: Readonly<Record<string, unknown>> = {},
    accounts = false,
  ): Promise<Stage> {
    const upstream = await startUpstream({ profile, users: USERS, tls: false });
    const elsewhere = await startUpstream({ profile: 'quay', users: USERS, tls: false });
    upstream.add(NAMES.private, IMAGES.private, { access: ['ada'] });
    upstream.add(NAMES.unpulled, IMAGES.private, { access: ['ada'] });
    upstream.add(NAMES.vault, IMAGES.vault, { access: ['bob'] });
    upstream.add(NAMES.public, IMAGES.public);
    const clock = new Clock();
    const dir = await mkdtemp(join(tmpdir(), 'layover-stage-'));
    const settings = accounts ? { [NAMESPACE[profile]]: { credentials: await accountsIn(dir) } } : {};
    const gateway = await TestGateway.start({ upstreams: [upstream, elsewhere], config, settings, now: clock.now });
    return new Stage(new Registry(profile, gateway), upstream, elsewhere, clock, dir);
  }

  /** Everybody pulls what they may. */
  async fill(t: ExecutionContext): Promise<void> {
    await this.#pull(t, NAMES.private, piecesOf(IMAGES.private), ADA);
    await this.#pull(t, NAMES.vault, piecesOf(IMAGES.vault), BOB);
    await this.#pull(t, NAMES.public, piecesOf(IMAGES.public), EVE);
  }

  /** Goes on until the tokens of now are over; one that ada had is kept. */
  async outlive(): Promise<void> {
    if (this.#issuesTokens) this.#expired = await this.registry.token([NAMES.private], ADA);
    this.clock.advance(301);
    this.upstream.expireTokens();
  }

  /** What a client that logs in shows: a token for as much as it may read, where there are tokens. */
  async shown(login?: string): Promise<string | undefined> {
    if (!this.#issuesTokens) return login;
    for (const names of [Object.values(NAMES), [NAMES.private], [NAMES.public]]) {
      const token = await this.registry.token(names, login);
      if (token !== undefined) return token;
    }
    return undefined;
  }

  /** Everybody there is; `mayRead`: whether ada may still read what she could. */
  async everybody(mayRead: boolean): Promise<Somebody[]> {
    const elsewhere = new Registry('quay', this.registry.gateway);
    const foreign = await elsewhere.token([NAMES.private], ADA);
    elsewhere[Symbol.dispose]();
    const all: Somebody[] = [
      { who: 'nobody', authorization: undefined, mayRead: false },
      { who: 'ada', authorization: await this.shown(ADA), mayRead },
      { who: 'eve', authorization: await this.shown(EVE), mayRead: false },
      { who: 'a wrong password', authorization: basic('ada', 'wrong'), mayRead: false },
      { who: 'a token of another registry', authorization: foreign, mayRead: false },
      { who: 'a made-up token', authorization: 'Bearer made-up', mayRead: false },
    ];
    if (!this.#issuesTokens) return all;
    return [
      ...all,
      { who: 'an anonymous token', authorization: await this.shown(), mayRead: false },
      { who: 'an expired token of ada', authorization: this.#expired, mayRead: false },
      ...(await this.#withTokensOfOurs(mayRead)),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.registry[Symbol.dispose]();
    await this.registry.gateway[Symbol.asyncDispose]();
    await this.upstream.close();
    await this.#elsewhere.close();
    await rm(this.#dir, { recursive: true });
  }

  /** The same people, whom the gateway gave tokens of its own while the token server was failing. */
  async #withTokensOfOurs(mayRead: boolean): Promise<Somebody[]> {
    const logins: [string, string | undefined, boolean][] = [
      ['nobody', undefined, false],
      ['ada', ADA, mayRead],
      ['eve', EVE, false],
      ['a wrong password', basic('ada', 'wrong'), false],
    ];
    const fault = this.upstream.fault({ kind: 'token' }, { status: 503 });
    const all: Somebody[] = [];
    for (const [who, login, may] of logins)
      all.push({
        who: `${who}, by a token of ours`,
        authorization: await this.shown(login),
        mayRead: may,
        isOurs: true,
      });
    fault.remove();
    return all;
  }

  async #pull(t: ExecutionContext, repository: string, pieces: readonly Piece[], login: string): Promise<void> {
    const authorization = this.#issuesTokens ? await this.registry.token([repository], login) : login;
    for (const { rest, bytes } of pieces) {
      const answer = await this.registry.get(repository, rest, authorization);
      if (bytes !== undefined) t.deepEqual([answer.status, answer.body], [200, bytes], `${repository} ${rest}`);
    }
  }
}

/** Ada's account for what is hers, bob's for everything else. */
async function accountsIn(dir: string): Promise<object[]> {
  for (const name of ['ada', 'bob'] as const) await writeFile(join(dir, name), USERS[name]);
  const ada = { username: 'ada', passwordFile: join(dir, 'ada'), repositories: [NAMES.private, NAMES.unpulled] };
  return [ada, { username: 'bob', passwordFile: join(dir, 'bob') }];
}
