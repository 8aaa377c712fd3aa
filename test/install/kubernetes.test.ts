import { join } from 'node:path';
import test from 'ava';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { markedBlock, readDocument } from '../support/markdown.ts';

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface Mount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts: readonly Mount[];
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly startupProbe: Probe;
  readonly resources: { readonly limits: Readonly<Record<string, string>> };
  readonly securityContext: Readonly<Record<string, unknown>>;
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly replicas?: number;
    readonly type?: string;
    readonly selector?: unknown;
    readonly ports?: readonly { readonly targetPort: string; readonly nodePort?: number }[];
    readonly template?: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly securityContext: Readonly<Record<string, unknown>>;
        readonly terminationGracePeriodSeconds: number;
        readonly containers: readonly Container[];
        readonly volumes: readonly { readonly name: string }[];
      };
    };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
  };
}

const manifests = parseAllDocuments(await readDocument('deploy/kubernetes/layover.yaml')).map((document) => {
  if (document.errors.length > 0) throw document.errors[0];
  return document.toJS() as Manifest;
});
const dockerfile = await readDocument('Dockerfile');
const pod = find('StatefulSet').spec?.template?.spec;
const [container] = pod?.containers ?? [];

function find(kind: string): Manifest {
  const found = manifests.find((manifest) => manifest.kind === kind);
  if (found === undefined) throw new Error(`no ${kind}`);
  return found;
}

/** The configuration that the container is given, its variables included. */
function given() {
  const env = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]));
  return loadConfig({ text: find('ConfigMap').data?.['gateway.yaml'] ?? '', env, cwd: '/layover' });
}

test('the configuration of the pod is right, and its ports are those that the service and the probes name', async (t) => {
  const { listen } = await given();
  const ports = new Map(container?.ports.map(({ name, containerPort }) => [name, containerPort]));
  const expected = { https: listen.https[0].port, http: listen.http[0].port, admin: listen.admin[0].port };
  t.deepEqual(Object.fromEntries(ports), expected);
  for (const { targetPort } of find('Service').spec?.ports ?? []) t.true(ports.has(targetPort), targetPort);
  t.is(listen.admin[0].host, '::');
  for (const [probe, path] of [
    [container?.livenessProbe, '/livez'],
    [container?.startupProbe, '/livez'],
    [container?.readinessProbe, '/readyz'],
  ] as const) {
    t.is(probe?.httpGet.path, path);
    t.is(probe?.httpGet.port, 'admin');
  }
});

test('what the pod writes lies on the claimed volume, and the rest is read-only', async (t) => {
  const { storage, certs, log } = await given();
  const claims = find('StatefulSet').spec?.volumeClaimTemplates?.map(({ metadata }) => metadata.name) ?? [];
  const mounts = container?.volumeMounts ?? [];
  const writable = mounts.filter(({ readOnly }) => readOnly !== true);
  t.deepEqual(
    writable.map(({ name }) => name),
    claims,
  );
  // In directories below it: the volume's own is open to the group, as the key of a root CA must not be.
  for (const path of [storage.root, certs.dir])
    t.true(
      writable.some(({ mountPath }) => path.startsWith(`${mountPath}/`)),
      path,
    );
  t.is(log.access.file, '-');
  const volumes = [...claims, ...(pod?.volumes.map(({ name }) => name) ?? [])];
  for (const { name } of mounts) t.true(volumes.includes(name), name);
  t.true(mounts.some(({ mountPath, readOnly }) => mountPath === '/layover/config' && readOnly));
});

test('the pod is what the restricted policy of Kubernetes asks for', (t) => {
  const [user = '', group = ''] = /^USER (\d+):(\d+)$/m.exec(dockerfile)?.slice(1) ?? [];
  const { runAsNonRoot, runAsUser, runAsGroup, seccompProfile, sysctls, fsGroupChangePolicy } =
    pod?.securityContext ?? {};
  t.true(runAsNonRoot);
  t.deepEqual([runAsUser, runAsGroup], [Number(user), Number(group)]);
  t.deepEqual(seccompProfile, { type: 'RuntimeDefault' });
  t.deepEqual(sysctls, [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '443' }]);
  t.is(fsGroupChangePolicy, 'OnRootMismatch');
  t.deepEqual(container?.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  t.is(container?.resources.limits.memory, '256Mi');
});

test('there is one pod, which the service finds and which has time to finish', (t) => {
  const { spec } = find('StatefulSet');
  t.is(spec?.replicas, 1);
  t.deepEqual(find('Service').spec?.selector, spec?.template?.metadata.labels);
  t.true((pod?.terminationGracePeriodSeconds ?? 0) > 30);
  for (const { kind, metadata } of manifests)
    t.is(kind === 'Namespace' ? metadata.name : metadata.namespace, 'layover', kind);
});

test('the nodes are told to ask the port that the service opens on each of them', async (t) => {
  const page = await readDocument(join('docs', 'install.md'));
  const port = find('Service').spec?.ports?.find(({ targetPort }) => targetPort === 'http')?.nodePort;
  t.true(markedBlock(page, 'node').includes(`[host."http://127.0.0.1:${port}"]`));
});
