/* SPDX-License-Identifier: MIT */
/* Between vmlog.c (one log) and vmlogs.c (the set of them). */
#ifndef VMD_VMLOG_PRIV_H
#define VMD_VMLOG_PRIV_H

#include "vmd/vmlog.h"

extern const struct logfile_ops vmlog_file_ops;
/* Take what the source has left, then let go of it. */
void vmlog_drain(struct vmlog *l);
void vmlog_close(struct vmlog *l, bool remove);

/* One of its handles is closed; the last one frees it. */
void vmlogs_unref(struct vmlog *l);
/* An event and a line in vmd's log; message may be NULL. */
void vmlogs_tell(struct vmlog *l, const char *type, const char *message);

#endif
