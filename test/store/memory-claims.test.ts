import { claimsConformance } from './claims-conformance.ts';
import { MemoryClaims } from './memory-claims.ts';

claimsConformance('memory', (_, times) => new MemoryClaims(times));
