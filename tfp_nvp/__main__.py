"""`python -m tfp_nvp` is `tfp-nvp`."""

from tfp_nvp.cli import main

if __name__ == "__main__":
    main()
