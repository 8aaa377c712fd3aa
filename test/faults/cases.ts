import type { FaultCase } from './case.ts';
import { bitRot } from './cases/bit-rot.ts';
import { brokenPieces } from './cases/broken-pieces.ts';
import { departures, idlers, slowReader } from './cases/clients.ts';
import { powerCutPushes } from './cases/cut-pushes.ts';
import { diskFull } from './cases/disk-full.ts';
import { displacedSources } from './cases/displaced-sources.ts';
import { encodings } from './cases/encodings.ts';
import { eviction } from './cases/eviction.ts';
import { firstStarts } from './cases/first-starts.ts';
import { flippedBytes } from './cases/flipped-bytes.ts';
import { garbage, poison } from './cases/garbage.ts';
import { herds } from './cases/herd.ts';
import { killedGateway } from './cases/killed-gateway.ts';
import { lostNames } from './cases/lost-names.ts';
import { lyingLengths } from './cases/lying-lengths.ts';
import { certificates, outages } from './cases/outages.ts';
import { powerCuts } from './cases/power-cut.ts';
import { privateContent } from './cases/private-content.ts';
import { drained, rolling, takenOver } from './cases/restarts.ts';
import { serverNames } from './cases/server-names.ts';
import { slowHttp } from './cases/slow-http.ts';
import { slowUpstreams } from './cases/slow-upstreams.ts';
import { smuggling } from './cases/smuggling.ts';
import { steeredCredentials } from './cases/steered-credentials.ts';
import { syscalls } from './cases/syscalls.ts';
import { upstreamCuts } from './cases/upstream-cuts.ts';

/** All cases, those that matter most first. */
export const cases: readonly FaultCase[] = [
  killedGateway,
  ...powerCuts,
  ...powerCutPushes,
  upstreamCuts,
  brokenPieces,
  flippedBytes,
  lyingLengths,
  displacedSources,
  ...herds,
  smuggling,
  serverNames,
  diskFull,
  eviction,
  privateContent,
  steeredCredentials,
  outages,
  certificates,
  lostNames,
  slowUpstreams,
  firstStarts,
  drained,
  rolling,
  takenOver,
  departures,
  slowReader,
  idlers,
  slowHttp,
  garbage,
  poison,
  encodings,
  syscalls,
  bitRot,
];
