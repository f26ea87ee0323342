import { describe } from 'vitest';
import { MemoryRegister } from '../../../src/racs/register/memory-register.ts';
import { itKeepsTheCommitRegisterContract } from '../../support/commit-register-contract.ts';

describe('registers in memory', () => {
  itKeepsTheCommitRegisterContract({ create: () => new MemoryRegister() });
});
