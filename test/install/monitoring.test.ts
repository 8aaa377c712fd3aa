import { spawnSync } from 'node:child_process';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { openMetrics } from '../../src/telemetry/metrics.ts';
import { readDocument } from '../support/markdown.ts';

const FOLDER = join(import.meta.dirname, '../../monitoring');

interface Panel {
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly expr: string }[];
}

interface Query {
  readonly place: string;
  readonly text: string;
}

interface Alerts {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[];
}

const dashboard = JSON.parse(await readDocument('monitoring/dashboard.json')) as { readonly panels: readonly Panel[] };
const { groups } = parse(await readDocument('monitoring/alerts.yml')) as Alerts;
const queries: readonly Query[] = [
  ...dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ place: title, text: expr }))),
  ...groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => ({ place: alert, text: expr }))),
];

/** What the gateway tells: the labels of each series by its name, those of Node included. */
async function series(): Promise<ReadonlyMap<string, readonly string[]>> {
  const { registry, close } = openMetrics(['docker.io']);
  try {
    const metrics = registry.getMetricsAsArray() as unknown as readonly { name: string; labelNames: string[] }[];
    return new Map<string, readonly string[]>([
      ['up', ['job']],
      ...metrics.map(({ name, labelNames }) => [name, labelNames] as const),
      ...metrics.map(({ name, labelNames }) => [`${name}_bucket`, [...labelNames, 'le']] as const),
    ]);
  } finally {
    close();
  }
}

test('the dashboard and the alerts ask for metrics and labels that the gateway has', async (t) => {
  const known = await series();
  t.true(queries.length > 30);
  for (const { place, text } of queries) {
    const names = [...text.matchAll(/\b(?:layover|nodejs|process)_[a-z0-9_]+|\bup\b/g)].map(([name]) => name);
    t.not(names.length, 0, place);
    const labels = names.flatMap((name) => known.get(name) ?? []);
    for (const name of names) t.true(known.has(name), `${place}: ${name}`);
    const compared = [...text.matchAll(/([a-z]+)(?:=~|!=|=)"/g)].map(([, label = '']) => label);
    const grouped = [...text.matchAll(/\bby \(([a-z, ]+)\)/g)].flatMap(([, list = '']) => list.split(', '));
    for (const label of [...compared, ...grouped])
      t.true(label === 'instance' || labels.includes(label), `${place}: label ${label}`);
  }
});

test('every metric of the gateway that is worth an alert has one', async (t) => {
  const page = await readDocument('docs/operations.md');
  const [, sentence = ''] = /Worth an alert: (.*?)\n\n/s.exec(page) ?? [];
  const worth = [...sentence.matchAll(/layover_[a-z_]+/g)].map(([name]) => name);
  t.true(worth.length > 5);
  const asked = groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)).join('\n');
  for (const name of worth) t.true(asked.includes(name), name);
});

test('no two panels of the dashboard cover each other', (t) => {
  const taken = new Map<string, string>();
  for (const { title, gridPos } of dashboard.panels) {
    t.true(gridPos.x + gridPos.w <= 24, title);
    for (let cell = 0; cell < gridPos.w * gridPos.h; cell++) {
      const at = `${gridPos.x + (cell % gridPos.w)},${gridPos.y + Math.floor(cell / gridPos.w)}`;
      t.is(taken.get(at), undefined, `${title} at ${at}`);
      taken.set(at, title);
    }
  }
});

test('promtool takes the configuration and the alerts, which fire when they should', async (t) => {
  if (spawnSync('promtool', ['--version']).error !== undefined) {
    t.log('skipped: there is no promtool on this machine');
    t.pass();
    return;
  }
  const commands = [
    ['check', 'config', 'prometheus.yml'],
    ['test', 'rules', 'alerts.test.yml'],
  ];
  for (const args of commands) {
    const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: FOLDER, encoding: 'utf8' });
    t.is(status, 0, stdout + stderr);
  }
});

test('the queries of the dashboard are ones that Prometheus takes', async (t) => {
  if (spawnSync('promtool', ['--version']).error !== undefined) {
    t.log('skipped: there is no promtool on this machine');
    t.pass();
    return;
  }
  const { panels } = dashboard;
  const texts = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr.replaceAll(/\$__\w+/g, '5m')));
  const rules = texts.map((expr, index) => ({ record: `query:${index}`, expr }));
  const folder = await mkdtemp(join(tmpdir(), 'layover-queries-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'rules.yml');
  await writeFile(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
  t.is(status, 0, stdout + stderr);
});

test('what Grafana is given is where its provisioning looks for it', async (t) => {
  const { services } = parse(await readDocument('compose.yaml'), { merge: true }) as {
    services: Record<string, { volumes: string[]; environment?: Record<string, string> }>;
  };
  const grafana = services.grafana?.volumes ?? [];
  t.true(grafana.includes('./monitoring/dashboard.json:/etc/layover/dashboard.json:ro'));
  const provider = parse(await readDocument('monitoring/grafana/dashboards/layover.yml')) as {
    providers: { options: { path: string } }[];
  };
  t.is(provider.providers[0]?.options.path, '/etc/layover');
  for (const volume of [...grafana, ...(services.prometheus?.volumes ?? [])]) {
    const [from = ''] = volume.split(':');
    if (from.startsWith('.')) await t.notThrowsAsync(access(join(FOLDER, '..', from)), from);
  }
});
