import { MemoryClaims } from '../../src/store/memory-claims.ts';
import { claimsConformance, QUICK } from './claims-conformance.ts';

claimsConformance('memory', () => new MemoryClaims(QUICK));
