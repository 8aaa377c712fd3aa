import { backendConformance } from './conformance.ts';
import { MemoryBackend } from './memory-backend.ts';

backendConformance('memory', () => new MemoryBackend());
