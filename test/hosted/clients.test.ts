import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { ChildGateway } from '../pull/child.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { eventually, filesIn, send } from './stage.ts';

/** The machine's own buildah, podman and skopeo, which push to a gateway over plain HTTP on loopback. */
interface Stage {
  readonly hub: FakeUpstream;
  readonly gateway: ChildGateway;
  readonly dir: string;
}

const test = anyTest as TestFn<Partial<Stage> & { reason?: string }>;
const OPEN = {
  LAYOVER_HOSTED_REPOSITORIES: 'myapp,team/**',
  LAYOVER_HOSTED_PUSH: 'anyone',
  LAYOVER_HOSTED_DELETE: 'myapp',
};
/** In a namespace where what these programs keep for all users is nobody else's. */
const PRELUDE = `set -eu; mkdir -p /var/lib/containers; mount -t tmpfs tmpfs /var/lib/containers
export HOME=$DIR TMPDIR=$DIR BUILDAH_ISOLATION=chroot XDG_RUNTIME_DIR=$DIR
in_store() { program=$1; shift; "$program" --storage-driver vfs --root $DIR/store --runroot $DIR/run "$@"; }
podman() { command podman --storage-driver vfs --root $DIR/store --runroot $DIR/run --tmpdir $DIR/libpod "$@"; }
image() { c=$(in_store buildah from scratch); head -c $2 /dev/urandom > $DIR/file; in_store buildah copy -q $c $DIR/file /file >&2; in_store buildah commit -q $c $1 >&2; }
`;

test.before(async (t) => {
  const missing = ['unshare', 'buildah', 'podman', 'skopeo'].find(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  );
  const mounts = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  if (missing !== undefined || mounts.status !== 0) {
    t.context.reason = missing === undefined ? 'mounts of our own need root' : `${missing} is not installed`;
    return;
  }
  const hub = await startUpstream({ profile: 'hub', tls: false });
  const gateway = await ChildGateway.start(hub, OPEN);
  Object.assign(t.context, { hub, gateway, dir: await mkdtemp(join(tmpdir(), 'layover-clients-')) });
});

test.after.always(async ({ context: { hub, gateway, dir } }) => {
  await gateway?.[Symbol.asyncDispose]();
  await hub?.close();
  if (dir !== undefined) await rm(dir, { recursive: true, force: true });
});

function clientTest(title: string, walk: (t: ExecutionContext, stage: Stage) => Promise<void>): void {
  test.serial(title, async (t) => {
    const { hub, gateway, dir, reason } = t.context;
    t.timeout(240_000);
    if (hub !== undefined && gateway !== undefined && dir !== undefined) return walk(t, { hub, gateway, dir });
    t.log(`skipped: ${reason}`);
    t.pass();
  });
}

/** Ends a program with what it started, which would try again; it may have given up already. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Runs a script with `$AT`, the gateway's address, and returns what it prints. */
async function run({ gateway, dir }: Stage, script: string): Promise<string> {
  const env = { ...process.env, DIR: dir, AT: gateway.own.slice('http://'.length) };
  const { stdout } = await promisify(execFile)('unshare', ['-m', 'sh', '-c', PRELUDE + script], {
    env,
    timeout: 120_000,
  });
  return stdout.trim();
}

clientTest(
  'what buildah pushes podman pulls, in the formats of OCI and of Docker, with equal digests',
  async (t, stage) => {
    for (const [format, repository] of [
      ['oci', 'myapp'],
      ['v2s2', 'team/docker'],
    ]) {
      const printed = await run(
        stage,
        `image localhost/made:1 300000
       in_store buildah push -q --tls-verify=false --format ${format} --digestfile $DIR/digest localhost/made:1 docker://$AT/${repository}:v1
       podman rmi -af >&2
       podman pull -q --tls-verify=false $AT/${repository}:v1 >&2
       podman image inspect --format '{{.Digest}}' $AT/${repository}:v1
       cat $DIR/digest`,
      );
      const [pulled, pushed] = printed.split('\n');
      t.regex(pushed ?? '', /^sha256:[0-9a-f]{64}$/, format);
      t.is(pulled, pushed, format);
    }
  },
);

clientTest('podman pushes, skopeo copies without sending a layer again, lists tags and deletes', async (t, stage) => {
  const printed = await run(
    stage,
    `image localhost/made:2 300000
     podman push -q --tls-verify=false localhost/made:2 $AT/myapp:v2
     copy() { skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "$@"; }
     copy docker://$AT/myapp:v2 docker://$AT/team/copy:v2
     copy docker://$AT/team/copy:v2 oci:$DIR/layout:v2
     digest() { skopeo inspect --tls-verify=false --format '{{.Digest}}' docker://$AT/$1; }
     digest myapp:v2; digest team/copy:v2
     skopeo list-tags --tls-verify=false docker://$AT/myapp | tr -d ' \\n'; echo
     skopeo delete --tls-verify=false docker://$AT/myapp:v2
     skopeo list-tags --tls-verify=false docker://$AT/myapp | tr -d ' \\n'`,
  );
  const [one, other, before = '', after = ''] = printed.split('\n');
  t.is(one, other);
  t.regex(before, /"Tags":\["v1","v2"\]/);
  t.regex(after, /"Tags":\["v1"\]/);
});

clientTest('a push whose gateway is killed succeeds when it is made again', async (t, stage) => {
  const { gateway, dir } = stage;
  const env = { ...process.env, DIR: dir, AT: gateway.own.slice('http://'.length) };
  const push = `in_store buildah push -q --tls-verify=false --digestfile $DIR/digest localhost/large:1 docker://$AT/team/large:1`;
  await run(stage, 'image localhost/large:1 30000000');
  const pushing = spawn('unshare', ['-m', 'sh', '-c', PRELUDE + push], {
    env,
    stdio: 'ignore',
    detached: true,
  });
  const ended = once(pushing, 'exit');
  const isUnderWay = async (): Promise<boolean> =>
    Object.values(await filesIn(gateway, 'uploads')).some((size) => size > 100_000);
  await eventually(async () => pushing.exitCode !== null || (await isUnderWay()));
  await gateway.kill();
  killGroup(pushing.pid);
  await ended;
  await gateway.up();
  const pushed = await run(stage, `${push}; cat $DIR/digest`);
  const { status, headers } = await send(gateway.own, 'HEAD', '/v2/team/large/manifests/1');
  t.deepEqual([status, headers['docker-content-digest']], [200, pushed]);
  const pulled = await run(
    stage,
    `skopeo copy -q --src-tls-verify=false docker://$AT/team/large:1 dir:$DIR/pulled; sha256sum $DIR/pulled/manifest.json | cut -d' ' -f1`,
  );
  t.is(`sha256:${pulled}`, pushed);
});
