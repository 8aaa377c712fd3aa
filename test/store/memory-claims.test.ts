import { MemoryClaims } from './memory-claims.ts';
import { claimsConformance } from './claims-conformance.ts';

claimsConformance('memory', (_, times) => new MemoryClaims(times));
