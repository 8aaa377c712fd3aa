import { type Finding, ok, problem, setUp, several, warning } from './finding.ts';

/** A place where a client finds the certificates that it trusts. */
export interface TrustPlace {
  /** As `layover setup` calls the client. */
  readonly client: 'system' | 'docker' | 'podman' | 'containerd' | 'buildkit' | 'k3s';
  readonly file: string;
  /** The host that it counts for; absent: for every one. */
  readonly host?: string;
  /** The roots of gateways that it holds; a bundle holds others beside. */
  readonly roots: readonly TrustedRoot[];
  /** A configuration names this file, and it is not there. */
  readonly missing?: boolean;
}

export interface TrustedRoot {
  /** SHA-256, `AA:BB:…`. */
  readonly fingerprint: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/** What came of a handshake with the gateway by a registry's name, with what the system trusts. */
export interface Shaken {
  readonly name: string;
  readonly trusted: boolean;
  readonly code?: string;
  /** A certificate came. */
  readonly shown: boolean;
}

export interface TrustFacts {
  /** `host:port` of its plain listener; absent on the gateway's own machine. */
  readonly gateway?: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The gateway's roots, the serving one first. */
  readonly roots: readonly TrustedRoot[];
  readonly places: readonly TrustPlace[];
  readonly handshakes: readonly Shaken[];
  /** Names of registries that lead to the gateway on this machine. */
  readonly led: ReadonlySet<string>;
}

const DAY = 24 * 60 * 60 * 1000;
const SOON = 60 * DAY;

/** Whether the clients of this machine believe the gateway. */
export function judgeTrust(facts: TrustFacts): readonly Finding[] {
  const { gateway, roots, places } = facts;
  if (roots.length === 0)
    return [
      ok(
        gateway === undefined
          ? 'there is no root CA yet, or it cannot be read by this user; the first start makes it'
          : 'the root CA of the gateway is not known, so there is nothing to compare with',
      ),
    ];
  const found = [
    ...ending(facts),
    ...stale(facts),
    ...missing(places, gateway),
    ...unread(places, gateway),
    ...handshakes(facts),
  ];
  return found.length > 0 ? found : [ok(trusting(facts))];
}

function ending({ gateway, now, roots }: TrustFacts): Finding[] {
  const [serving] = roots;
  if (serving === undefined || serving.notAfter - now > SOON) return [];
  const end = new Date(serving.notAfter).toISOString().slice(0, 10);
  if (serving.notAfter <= now)
    return [
      problem(
        `the root CA ended on ${end}`,
        'every client refuses the gateway',
        'on the gateway: layover ca renew, then layover ca renew --activate, and set each client up again',
      ),
    ];
  // On the gateway itself the configuration's warnings say so.
  if (gateway === undefined) return [];
  const fix =
    roots.length > 1 ? setUp('system', gateway) : 'on the gateway: layover ca renew; then let each client trust both';
  return [warning(`the root CA ends on ${end}`, 'from then on every client refuses the gateway', fix)];
}

/** Places with a gateway's root, but not with one of this gateway's. */
function stale({ gateway, places, roots }: TrustFacts): Finding[] {
  const right = new Set(roots.map(({ fingerprint }) => fingerprint));
  return places
    .filter((place) => place.roots.length > 0 && !place.roots.some(({ fingerprint }) => right.has(fingerprint)))
    .map(({ client, file, roots: [old] }) =>
      problem(
        `${file} trusts another root CA, SHA-256 ${brief(old)}; the gateway's is ${brief(roots[0])}`,
        'an old root is trusted, and what the gateway shows is refused',
        renewal(client, file, gateway),
      ),
    );
}

/** How a file comes to hold the gateway's roots. */
function renewal(client: TrustPlace['client'], file: string, gateway: string | undefined): string {
  if (client === 'system') return `${setUp(client, gateway)}${restart(client)}`;
  const fetched =
    gateway === undefined
      ? `sudo layover ca export --out ${file}`
      : `sudo curl -fo ${file} http://${gateway}/ca.crt (compare its SHA-256 with what layover ca fingerprint says there)`;
  return `${fetched}${restart(client)}`;
}

function missing(places: readonly TrustPlace[], gateway: string | undefined): Finding[] {
  return places
    .filter((place) => place.missing)
    .map(({ client, file }) =>
      problem(`${file} is named as a CA, and is not there`, `${client} cannot connect`, renewal(client, file, gateway)),
    );
}

/** Put where the system's command collects them from, and never collected. */
function unread(places: readonly TrustPlace[], gateway: string | undefined): Finding[] {
  const system = places.filter(({ client, roots }) => client === 'system' && roots.length > 0);
  const waiting = system.filter(({ file }) => isAnchor(file));
  if (waiting.length === 0 || system.length > waiting.length) return [];
  const command = waiting.some(({ file }) => file.includes('/pki/ca-trust/'))
    ? 'update-ca-trust'
    : 'update-ca-certificates';
  return [
    problem(
      `${several(waiting.map(({ file }) => file))}: not in the bundle that programs read`,
      'nothing trusts it yet',
      `sudo ${command}${restart('system')}; or ${setUp('system', gateway)}`,
    ),
  ];
}

const ANCHORS = /\/(?:usr\/local\/share\/ca-certificates|anchors)\//;

/** Whether a file waits for being merged into the system's bundle. */
function isAnchor(file: string): boolean {
  return ANCHORS.test(file);
}

const UNREACHED = new Set(['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH']);
const OWN_PLACES = new Set(['docker', 'podman', 'containerd']);

function handshakes({ gateway, handshakes: all, led, places, roots }: TrustFacts): Finding[] {
  const failed = all.filter(({ name, trusted }) => led.has(name) && !trusted);
  const isAway = ({ code = '' }: Shaken): boolean => UNREACHED.has(code);
  const unbelieved = failed.filter(({ shown }) => shown);
  const right = new Set(roots.map(({ fingerprint }) => fingerprint));
  const ownPlaces = places.filter(
    ({ client, roots: held }) => OWN_PLACES.has(client) && held.some(({ fingerprint }) => right.has(fingerprint)),
  );
  const partly = unbelieved.filter(({ name }) => ownPlaces.some(({ host }) => host === name));
  return [
    // That nothing runs on this machine is told by the check of the gateway.
    ...told(gateway === undefined ? [] : failed.filter(isAway), unreached),
    ...told(
      failed.filter((one) => !one.shown && !isAway(one)),
      uncovered,
    ),
    ...told(
      unbelieved.filter((one) => !partly.includes(one)),
      (names) => unbelievedBy('this machine', names, gateway),
    ),
    ...told(partly, (names) => unbelievedBy('the system', names, gateway)),
  ];
}

function told(some: readonly Shaken[], say: (names: string) => Finding): Finding[] {
  return some.length === 0 ? [] : [say(`${several(some.map(({ name }) => name))} (${some[0]?.code})`)];
}

/** Where docker, podman or containerd have the root in a place of their own, the system's is a second one. */
function unbelievedBy(who: 'this machine' | 'the system', names: string, gateway: string | undefined): Finding {
  const message = `${who} does not trust what the gateway shows for ${names}`;
  const fix = `${setUp('system', gateway)}${restart('system')}`;
  return who === 'this machine'
    ? problem(message, 'pulls fail: x509: certificate signed by unknown authority', fix)
    : warning(
        `${message}, although a client's certs.d does`,
        'other clients fail, and so does docker with its classic image store for Docker Hub',
        fix,
      );
}

function unreached(names: string): Finding {
  return problem(
    `the gateway cannot be reached on port 443 for ${names}`,
    'these names lead to it, so their pulls fail',
    'on the gateway: layover doctor; and open the port: sudo ufw allow 443/tcp',
  );
}

function uncovered(names: string): Finding {
  return problem(
    `the gateway shows no certificate for ${names}`,
    'the name is in no upstream of its configuration, or its root CA does not cover it',
    'on the gateway: layover check; for a root that covers it: layover ca renew',
  );
}

function trusting({ handshakes: all, led, places }: TrustFacts): string {
  const holding = places.filter(({ roots }) => roots.length > 0).map(({ file }) => file);
  const shaken = all.filter(({ name, trusted }) => trusted && led.has(name)).length;
  if (holding.length > 0)
    return `the right root CA is in ${several(holding)}${shaken > 0 ? `; names shown a trusted certificate: ${shaken}` : ''}`;
  return shaken > 0
    ? `names shown a trusted certificate: ${shaken}`
    : 'no client of this machine trusts the root CA, and no name leads to the gateway, so none needs to';
}

function brief(root: TrustedRoot | undefined): string {
  return `${root?.fingerprint.slice(0, 23)}…`;
}

function restart(client: string): string {
  if (client === 'system') return ', then sudo systemctl restart docker containerd (those that run)';
  return client === 'k3s' ? ', then sudo systemctl restart k3s' : '';
}
