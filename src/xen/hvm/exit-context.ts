/** What an exit of a full domain is handled with: exits.ts and the files for single reasons. */

import type { PlatformCpu } from '../../platform/cpu.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { FullDomain, FullVcpu } from './full-domain.ts';
import type { FullProfile } from './profile.ts';

export interface ExitContext {
  readonly hypervisor: Hypervisor;
  readonly profile: FullProfile;
  readonly full: FullDomain;
  readonly state: FullVcpu;
  readonly cpu: PlatformCpu;
}
