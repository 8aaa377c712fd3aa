import { MemoryBackend } from '../../src/store/memory-backend.ts';
import { backendConformance } from './conformance.ts';

backendConformance('memory', () => new MemoryBackend());
