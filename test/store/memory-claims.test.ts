import { MemoryClaims } from '../../src/store/memory-claims.ts';
import { claimsConformance } from './claims-conformance.ts';

claimsConformance('memory', (_, times) => new MemoryClaims(times));
