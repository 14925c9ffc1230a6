"""JupyterLab's configuration: nothing asks the network, and its own export draws the charts."""

from pathlib import Path

from traitlets.config import get_config

c = get_config()

# The address and what goes wrong; not every extension that was found.
c.Application.log_level = "WARN"

# The Lab menu's export runs in the server, so the page's rules must stand here too.
c.HTMLExporter.preprocessors = ["loader.report.InlineCharts"]
c.HTMLExporter.mathjax_url = ""
c.HTMLExporter.require_js_url = ""

# The one kernel is this interpreter; one that a user installed elsewhere lacks the warehouse.
c.ServerApp.kernel_spec_manager_class = "loader.kernel.OwnKernelSpecs"

# The campaign picker runs the cells below it through the application's own commands.
c.LabApp.expose_app_in_browser = True

# No news, no update check, no extension catalogue: each would be a request.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
c.LabApp.app_settings_dir = str(Path(__file__).resolve().with_name("lab_settings"))
