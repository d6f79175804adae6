"""Pages that people look at: one HTML file each, which needs no network and no other file.

A page is a shell (``assets/page.html``, ``assets/report.css``), blocks of JSON, and scripts that draw from them. The
charts are about four hundred lines of plain JavaScript that write SVG: a plotting library would add megabytes to every
report, and has neither a threshold to drag nor tables that scroll through a hundred thousand images.

To add a page
-------------
1. Gather what it shows as JSON-friendly blocks, from files only (see :mod:`pyimgano.workbench.report.run`).
2. Write ``assets/<page>.js``. It reads a block with ``block(id)`` and appends elements to ``#page``. The pieces:

   - ``dom.js``: ``el``, ``svg`` (elements; text never becomes markup), ``short``, ``fixed``, ``percent``,
     ``metricName``, ``metricValue``, ``metricInterval``, ``counted``, ``section``, ``facts``, ``plainTable``,
     ``chooser`` (tabs);
   - ``statistics.js``: ``ascending``, ``countFrom``, ``decide`` (what a threshold does), ``clopperPearson``;
   - ``table.js``: ``dataTable`` (sorts, filters, holds only the rows in view);
   - ``charts.js``: ``curve``, ``bars``, ``scatter``; ``histogram.js``: ``histogram`` (thresholds to drag);
   - ``pictures.js``: ``lazyImage``, ``enlarge``, ``gallery``.
3. Call :func:`~pyimgano.workbench.report.page.write_page` with the scripts, the pieces first, and the blocks.
"""

from pyimgano.workbench.report.audit import write_audit_report
from pyimgano.workbench.report.benchmark import write_benchmark_report
from pyimgano.workbench.report.compare import write_comparison_report
from pyimgano.workbench.report.page import REPORT_HTML, write_page
from pyimgano.workbench.report.robust import write_robustness_report
from pyimgano.workbench.report.run import write_run_report

__all__ = [
    "REPORT_HTML",
    "write_audit_report",
    "write_benchmark_report",
    "write_comparison_report",
    "write_page",
    "write_robustness_report",
    "write_run_report",
]
