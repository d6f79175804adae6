"""An audit of a dataset's training images: copies, odd files, and good images that look unlike the others.

It ranks and never judges: every finding is for a person to look at.
"""

from pyimgano.workbench.audit.audit import Audit, AuditSettings, audit_samples

__all__ = ["Audit", "AuditSettings", "audit_samples"]
