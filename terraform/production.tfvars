environment = "production"
region      = "eu-central-1"

# Session Manager is the only way in.
ssh_cidrs = []
app_cidrs = ["0.0.0.0/0"]

# The image and the version that staging has tested; without this line production has a repository and a bucket of its own.
artifacts_from = "staging"

instance_count = 2
instance_type  = "t3.medium"
volume_size    = 30

# An example's ARN: put your certificate's in.
certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
