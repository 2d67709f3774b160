// Which files of an operating system's installer a machine loads, by the names of each system's own layout.

import type { Profile } from '../contract/document.ts'

/** Kernel, initrd and third part (root image; of CentOS Stream's tree the stage 2), below the profile's folder. */
export function installerFiles({ spec: { os } }: Profile): readonly [kernel: string, initrd: string, rootfs: string] {
  const names = layouts[os.name]
  return [os.kernel ?? names.kernel, os.initrd ?? names.initrd, os.rootfs ?? names.rootfs]
}

const layouts = {
  'fedora-coreos': { kernel: 'vmlinuz', initrd: 'initrd.img', rootfs: 'rootfs.img' },
  'centos-stream': {
    kernel: 'images/pxeboot/vmlinuz',
    initrd: 'images/pxeboot/initrd.img',
    rootfs: 'images/install.img'
  }
} as const
