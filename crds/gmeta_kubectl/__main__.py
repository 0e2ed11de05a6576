"""`python -m gmeta_kubectl`: the plugin without its script."""

from gmeta_kubectl.main import main

main()
