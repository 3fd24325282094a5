environment = "production"
region      = "eu-central-1"

# Session Manager is the only way in.
ssh_cidrs = []
app_cidrs = ["0.0.0.0/0"]

instance_count = 2
instance_type  = "t3.medium"
volume_size    = 30

# An example's ARN: put your certificate's in.
certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
